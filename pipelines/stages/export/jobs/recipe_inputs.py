"""Binding the recipe's inputs to a model's, by name."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.run.jobs.refusal import Refusal
from pipelines.stages.export.jobs.params import Declared
from quant.conversion.constant_inputs import ONE_NUMBER
from quant.graph.types import TensorType, shape_text
from quant.nearest import did_you_mean

Shape = tuple[int, ...]


def bind(recipe: Mapping[str, Declared], known: Mapping[str, TensorType]) -> dict[str, Shape]:
    """The shape of every input of the model, in the model's order.

    recipe: input name -> what it declares. known: the model's inputs. Raises Refusal
    on a name that the model lacks, on another shape or element type than the model's, and on
    inputs of the model whose shape nobody gives. Inputs that the recipe leaves out must be static
    and float.
    """
    for name in recipe:
        if name not in known:
            raise Refusal(
                f"the model has no input `{name}`", did_you_mean(name, known, "its inputs")
            )
    return {
        name: _declared(name, recipe[name], type_) if name in recipe else _undeclared(name, type_)
        for name, type_ in known.items()
    }


def _declared(name: str, told: Declared, type_: TensorType) -> Shape:
    if told.dtype != type_.dtype:
        raise Refusal(
            f"input `{name}`: the recipe says {told.dtype}, the model takes {type_.dtype}",
            f"write `dtype: {type_.dtype}` under it",
        )
    if told.shape is None:
        if type_.is_static:
            return type_.static_shape
        raise Refusal(
            f"input `{name}` has the shape {shape_text(type_.shape)} in the model",
            "NPUs need fixed shapes: declare its `shape`, every length a number",
        )
    shape = told.shape
    if not fits(shape, type_) and not (shape == () and type_.shape == ONE_NUMBER):
        raise Refusal(
            f"input `{name}`: the recipe says {shape_text(shape)}, "
            f"the model takes {shape_text(type_.shape)}",
            "write the model's shape, or export the model for the other one",
        )
    return ONE_NUMBER if type_.shape == ONE_NUMBER else shape


def _undeclared(name: str, type_: TensorType) -> Shape:
    if type_.is_static and type_.dtype.startswith("float"):
        return type_.static_shape
    raise Refusal(
        f"the recipe does not declare the model's input `{name}`, {type_}",
        "add it under `inputs` with its `shape` and `dtype`",
    )


def fits(shape: Shape, type_: TensorType) -> bool:
    """Whether a shape has the rank of a type and equals it in every length that the type fixes."""
    if type_.shape is None:
        return True
    if len(shape) != len(type_.shape):
        return False
    pairs = zip(shape, type_.shape, strict=True)
    return all(length == dim for length, dim in pairs if isinstance(dim, int))
