"""LiteRT's own interpreter: the reference that a conversion is held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from quant.fault import Fault


class LiteRT:
    """One TFLite network ready to run on the CPU, without delegates, in one thread.

    Every intermediate tensor is kept. Raises Fault where LiteRT refuses the file.
    """

    def __init__(self, raw: bytes, name: str) -> None:
        self.name = name
        try:
            self.interpreter = Interpreter(
                model_content=raw,
                num_threads=1,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                experimental_preserve_all_tensors=True,
            )
        except (ValueError, RuntimeError) as error:
            raise unreadable(name, str(error)) from error

    def resize(self, shapes: Mapping[int, tuple[int, ...]]) -> None:
        """Fix the shape of each input and make room for every tensor."""
        try:
            for index, shape in shapes.items():
                self.interpreter.resize_tensor_input(index, list(shape))
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            wanted = ", ".join(str(list(shape)) for shape in shapes.values())
            raise Fault(
                f"{self.name}: LiteRT can't prepare the network for inputs {wanted}: {error}",
                "give the recipe's inputs the shapes that the file was made for",
            ) from error

    def run(self, inputs: Mapping[int, NDArray[Any]]) -> None:
        """Run once; the results stay inside until the next run."""
        try:
            for index, array in inputs.items():
                self.interpreter.set_tensor(index, array)
            self.interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise Fault(
                f"{self.name}: LiteRT can't run the network: {error}",
                "try the file in another TFLite program; if that fails too, convert it again",
            ) from error

    def value(self, index: int) -> NDArray[Any]:
        """A copy of one tensor after the last run."""
        array: NDArray[Any] = self.interpreter.get_tensor(index)
        return array

    def shapes(self) -> dict[int, tuple[int, ...]]:
        """Tensor index -> shape, also of those that are known only after a run."""
        return {
            int(detail["index"]): tuple(int(n) for n in detail["shape"])
            for detail in self.interpreter.get_tensor_details()
        }


def unreadable(name: str, error: str) -> Fault:
    """What LiteRT says of a file that it does not even open."""
    if "valid Flatbuffer" in error:
        return Fault(
            f"{name}: the TFLite file is damaged or cut short",
            "copy it again from where it was made, or convert the network again",
        )
    return Fault(
        f"{name}: LiteRT refuses the file: {error}", "convert the network again with other options"
    )
