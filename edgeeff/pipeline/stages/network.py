"""checkpoint ─▶ float base graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from edgeeff import digests
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages.identity import Source
from edgeeff.pipeline.stages.stage import Stage, run
from edgeeff.target import Activation
from edgeeff.zoo import sources

if TYPE_CHECKING:
    import onnx_ir as ir

VERSION = 2
TOOLS = ("edgeeff", "torch", "onnx", "onnx-ir", "onnxsim")
_FILE = "graph.onnx"


@dataclass(frozen=True)
class Network:
    """The float graph of a source at an input size: exported when it is first asked for.

    Its bytes are not held but read from the cache again: a V2-XL's are 0.8 GB.
    """

    source: Source
    size: tuple[int, int]
    context: Context

    def graph(self) -> bytes:
        """The base graph, as bytes of an ONNX file."""
        return run(self._exported, self.context)

    def model(self) -> ir.Model:
        """The base graph."""
        from edgeeff.graph.model import from_bytes

        return from_bytes(self.graph())

    @property
    def digest(self) -> str:
        """The SHA-256 of the base graph."""
        facts = {"graph": self._exported.key}
        return run(Stage("digest", VERSION, (), facts, self._digest), self.context)

    @property
    def activation(self) -> Activation:
        """Whether the network's activation has an upper bound: ReLU6 has, Swish has not."""
        facts = {"graph": self._exported.key}
        return run(Stage("activation", VERSION, (), facts, self._activation), self.context)

    @cached_property
    def _exported(self) -> Stage[bytes]:
        asked, identity = self.source.asked, self.source.identity
        return Stage(
            "graph",
            VERSION,
            TOOLS,
            facts={
                "source": self.source.digest,
                "model": asked.model,
                "chosen": [asked.prefix, asked.head, asked.taps],
                "conventions": asdict(identity.conventions) if identity.conventions else None,
                "size": self.size,
                "channels": asked.channels,
            },
            make=self._export,
            encode=_encode,
            decode=_decode,
        )

    def _export(self) -> bytes:
        self.context.progress.stage("exporting the float graph")
        from edgeeff.graph import order
        from edgeeff.graph.model import to_bytes

        asked, identity = self.source.asked, self.source.identity
        model = sources.room(identity.kind).graph(asked, identity, self.size)
        if asked.channels == "bgr":
            order.turn_around(model)
        content = to_bytes(model)
        self.source.refuse_changed(self.context.watched)
        return content

    def _digest(self) -> str:
        return digests.of_bytes(self.graph())

    def _activation(self) -> Activation:
        from edgeeff.quantization.draft import is_bounded

        return "bounded" if is_bounded(self.model()) else "unbounded"


def _encode(graph: bytes) -> dict[str, bytes]:
    return {_FILE: graph}


def _decode(parts: Mapping[str, bytes]) -> bytes:
    return parts[_FILE]
