"""A built network beside the float one, on the same feeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.stages.compare.jobs.float_network import Array, FloatNetwork, Outputs
from quant.execution.run import FloatRun


@dataclass(frozen=True)
class OpenedPair:
    """network: the float one, before any change. built: what build made of it."""

    network: FloatNetwork
    built: FloatRun

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.network.inputs

    def feeds(self, arrays: Sequence[Array]) -> Outputs:
        """A sample's arrays, one for each of `inputs`, as both networks take them."""
        return self.network.feeds(self.inputs, arrays)

    def float_run(self, feeds: Outputs) -> Outputs:
        """The outputs that both networks have, in the built one's order."""
        found = self.network.run(feeds)
        return {name: found[name] for name in self.built.outputs}

    def built_run(self, feeds: Outputs) -> Outputs:
        return dict(self.built(feeds))
