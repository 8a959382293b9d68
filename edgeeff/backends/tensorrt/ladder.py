"""The rungs of honest claims that a graph climbs on a machine without a GPU, up to NVIDIA's own compiler.

1. ``emit`` held the graphs against onnx's checker and :mod:`edgeeff.backends.tensorrt.lint`.
2. NVIDIA's parser accepts them (by the optional TensorRT-RTX wheel, which needs no GPU).
3. NVIDIA's compiler makes an INT8 kernel of every layer of the strongly typed graph that reads quantised
   values; of a float graph it makes FP16 kernels. Nothing follows from it for the speed of a Jetson.

Rung 0 is :mod:`edgeeff.backends.tensorrt.examine`'s, 6 a device's; 4 and 5 are claims about this code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeeff.backends import CheckReport, Layer
from edgeeff.backends.tensorrt import rtx
from edgeeff.backends.tensorrt.rtx import Plan
from edgeeff.errors import BundleError
from edgeeff.installing import install_line

QUANTISED = ("model.qdq.onnx", "model.qdq.fp16.onnx")
CONTROL = ("model.float.onnx", "model.float.fp16.onnx")
#: Of a detector that makes boxes, the graph without what no other runtime has.
RAW = ("model.raw.onnx", "model.raw.fp16.onnx")

NOT_RUN = "NOT RUN"


@dataclass(frozen=True)
class Climbed:
    """How far it went: what may be said of each rung, by its number, and the plans by compute capability."""

    claims: Mapping[int, str]
    plans: Mapping[str, Plan]

    @property
    def rung(self) -> int:
        """The highest rung reached."""
        return max(rung for rung in self.claims if self._stands_on(rung))

    def _stands_on(self, rung: int) -> bool:
        return NOT_RUN not in self.claims[rung] and not (rung == 3 and self.fallbacks)

    @property
    def fallbacks(self) -> list[str]:
        """The layers meant for INT8 that are not, and where if not everywhere."""
        found: dict[str, list[str]] = {}
        for capability, plan in self.plans.items():
            for name in plan.fallbacks():
                found.setdefault(name, []).append(f"SM{capability}")
        return [n if len(on) == len(self.plans) else f"{n} ({', '.join(on)})" for n, on in found.items()]

    def report(
        self, last: str, *, ran: bool = False, files: Mapping[str, bytes] | None = None
    ) -> CheckReport:
        """The check's report, with what the device said as the last rung.

        ``counts`` holds the highest ``rung``, and where an INT8 graph was compiled ``int8_layers`` of
        ``quantised_layers``, for the capability that has the fewest.
        """
        rung, fallbacks = 6 if ran else self.rung, self.fallbacks
        counts = {"rung": rung}
        meant = max((len(plan.intended) for plan in self.plans.values()), default=0)
        if meant:
            counts["quantised_layers"] = meant
            counts["int8_layers"] = min(len(p.intended) - len(p.fallbacks()) for p in self.plans.values())
        layers: Sequence[Layer] = next((plan.kernels for plan in self.plans.values()), ())
        claims = {**self.claims, 6: last}
        return CheckReport(
            status="fallback" if fallbacks else "ok" if ran else "NOT RUN",
            summary=f"rung {rung} of 6: {'; '.join(claims.values())}",
            counts=counts,
            fallbacks=fallbacks,
            layers=layers,
            ladder={str(number): claim for number, claim in sorted(claims.items())},
            files=files or {},
        )


def climb(
    graphs: Sequence[Path],
    capabilities: Callable[[], Sequence[str]],
    compiled: Callable[[str], Plan] | None = None,
) -> Climbed:
    """Take a bundle's graphs as far up as this machine can.

    Args:
        graphs: The target's own graphs, the strongly typed one last, and before them its control's.
        capabilities: What to compile for, asked for only where the compiler is at hand.
        compiled: The plan of the last graph for a capability; None: compile it.

    Raises:
        OptionError: The compiler does not know one of the capabilities.
        VerificationError: NVIDIA's parser refuses a graph, or its compiler cannot build it.
    """
    claims = {1: "meets the known rules of TensorRT 8.5 to 11"}
    if not rtx.available():
        claims[2] = f"NVIDIA's parser and compiler {NOT_RUN}: {install_line('tensorrt-rtx')}"
        return Climbed(claims, {})
    chosen = capabilities()
    for path in graphs:
        rtx.accept(path)
    claims[2] = f"accepted by NVIDIA's parser (TensorRT-RTX {rtx.version()})"
    if graphs[-1].name in RAW:
        claims[2] += ", but for EfficientNMS_TRT, which it does not have"
    plans = {c: compiled(c) if compiled else rtx.compile_graph(graphs[-1], c) for c in chosen}
    everywhere = ", ".join(f"SM{c}" for c in chosen)
    quantised = graphs[-1].name in QUANTISED or (graphs[-1].parent / QUANTISED[0]).is_file()
    kind = "INT8" if quantised else "FP16"
    climbed = Climbed(claims, plans)
    claims[3] = f"compiles as strongly typed {kind} for {everywhere}"
    if climbed.fallbacks:
        claims[3] = f"{len(climbed.fallbacks)} quantised layers are no INT8 kernel for {everywhere}"
    return climbed


def graphs_of(folder: Path, names: Sequence[Sequence[str]]) -> list[Path]:
    """The graphs that a bundle holds, its own last.

    Args:
        folder: The bundle.
        names: Sets of files, of which a bundle holds one whole, or several.

    Raises:
        BundleError: It holds none of the sets, or a part of one.
    """
    held = [group for group in names if any((folder / name).is_file() for name in group)]
    absent = [n for group in held or names[-1:] for n in group if not (folder / n).is_file()]
    if absent:
        raise BundleError(f"{folder} has no {' and no '.join(absent)}", mend="build the bundle again")
    return [folder / name for group in held for name in group]
