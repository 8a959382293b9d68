"""What a file does to the logits before it puts them out: cut off here, and known by its name.

    … ─ Gemm ─ Softmax ─ ArgMax ─ Gather(names) ─ y      ⇒      … ─ Gemm,   ends in softmax, with labels

Looked at from the outputs backward, through what changes shapes alone. What makes probabilities (Softmax,
LogSoftmax, Sigmoid) tells the task; what chooses among them (ArgMax, TopK, a comparison with a threshold,
names instead of numbers: :mod:`choices`) is done by what runs the bundle. Other ends are refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.importing import choices
from edgeeff.graph.importing.lookup import SAME, Lookup
from edgeeff.graph.model import node_label

_ACTIVATIONS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}
_EMBEDDING = "build it with --task features; or export the classifier, whose output is [N, classes]"
#: What a network may end in that no task reads, and the way out.
_OTHER: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("HardSigmoid", "Tanh", "Softplus", "Softsign", "Elu", "Exp", "Log"),
        ("which is neither the sigmoid nor the softmax that classes are read by", choices.LOGITS),
    ),
    **dict.fromkeys(
        ("LpNormalization", "ReduceL2", "ReduceSumSquare"),
        ("the length of a vector: an embedding's end, not a classifier's", _EMBEDDING),
    ),
}


@dataclass(frozen=True)
class Ending:
    """The end of a file.

    Args:
        output: The file's output that was taken.
        logits: The tensor that is imported.
        probabilities: The tensor that an activation makes of it, if the output that was taken comes of it.
        ends_in: That activation, or that of another output of the same logits: ``softmax``, ``log_softmax``
            or ``sigmoid``; empty for none.
        cut: What was cut off, of all outputs of the same logits.
        labels: The classes' names, where the file says them.
        threshold: Of a label's probability, where the file compares with one.
        notes: What was cut off and what was left, a phrase each.
        warnings: What was left and may have been wanted, a sentence each.
    """

    output: str
    logits: str
    probabilities: str = ""
    ends_in: str = ""
    cut: tuple[onnx.NodeProto, ...] = ()
    labels: tuple[str, ...] | None = None
    threshold: float | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def made(self) -> str:
        """What the output that was taken makes of the logits; empty where it is the logits."""
        return self.ends_in if self.probabilities else ""


@dataclass(frozen=True)
class _Path:
    """From one output back to what it is made of.

    Args:
        output: Its name.
        logits: Where the path ends.
        root: The same, behind what changes shapes alone: outputs of one root say the same.
        cut: The nodes that were walked over and do more than that, the last first.
        activation: That among them that makes probabilities.
        probabilities: The tensor that it makes.
    """

    output: str
    logits: str
    root: str
    cut: tuple[onnx.NodeProto, ...] = ()
    activation: str = ""
    probabilities: str = ""


def read(model: onnx.ModelProto) -> Ending:
    """Which output is the classifier's, and what stands between it and the logits.

    Raises:
        GraphError: There is none, or several could be; or it ends in what no task reads.
    """
    graph = Lookup(model)
    if not model.graph.output:
        raise GraphError("it has 0 outputs", mend="export a network whose output is the logits")
    paths = [_walk(graph, str(value.name)) for value in model.graph.output]
    ranks = {str(v.name): len(v.type.tensor_type.shape.dim) for v in model.graph.output}
    root, warnings = _root(graph, paths, ranks)
    alike = [path for path in paths if path.root == root]
    # The nearest to the logits: what was cut off can be done again, what was chosen cannot be undone.
    chosen = min(alike, key=lambda path: len(path.cut))
    activations = {path.activation for path in alike} - {""}
    if "sigmoid" in activations and len(activations) > 1:
        raise GraphError(
            f"its outputs {', '.join(repr(p.output) for p in alike)} are softmax and sigmoid of one tensor",
            mend="export one of them: they say different things",
        )
    ends_in = chosen.activation or min(activations, default="")
    cut = tuple(_each([node for path in alike for node in path.cut]))
    thresholds = {choices.threshold(graph, node) for node in cut} - {None}
    if len(thresholds) > 1:
        raise GraphError(f"it compares with {len(thresholds)} thresholds", mend="export it up to its logits")
    if thresholds and not ends_in:
        ends_in = "sigmoid"  # labels that are there or not, each by itself
    labels = next((found for node in cut if (found := choices.class_names(graph, node))), None)
    if ends_in == "sigmoid" and any(node.op_type in ("ArgMax", "TopK", "ReduceMax") for node in cut):
        warnings += (
            "the file takes the largest of several sigmoids, and is built to name all labels over the "
            "threshold: --task classification names the largest alone",
        )
    return Ending(
        output=chosen.output,
        logits=chosen.logits,
        probabilities=chosen.probabilities,
        ends_in=ends_in,
        cut=cut,
        labels=labels,
        threshold=next(iter(thresholds), None),
        notes=tuple(_notes(chosen, paths)),
        warnings=warnings,
    )


def _walk(graph: Lookup, output: str) -> _Path:
    """From an output back to the logits."""
    logits, name, cut = output, output, list[onnx.NodeProto]()
    for _ in range(len(graph.makers) + 1):
        node = graph.maker(name)
        if node is None or not node.input:
            break
        if node.op_type in SAME:
            name = node.input[0]
        elif choices.chooses(graph, node):
            cut.append(node)
            logits = name = node.input[choices.CHOICES[node.op_type]]
        else:
            made = _activation(graph, node)
            if not made:
                _refuse_other(graph, node)
                break
            source = made[-1].input[0]
            kind = "log_softmax" if len(made) > 1 else _ACTIVATIONS[node.op_type]
            return _Path(output, source, graph.behind(source), (*cut, *made), kind, node.output[0])
    return _Path(output, logits, graph.behind(logits), tuple(cut))


def _activation(graph: Lookup, node: onnx.NodeProto) -> tuple[onnx.NodeProto, ...]:
    """The nodes that make probabilities, the last first: one, or Log of Softmax."""
    if node.op_type in _ACTIVATIONS:
        return (node,)
    before = graph.maker(graph.behind(node.input[0])) if node.op_type == "Log" else None
    return (node, before) if before is not None and before.op_type == "Softmax" else ()


def _refuse_other(graph: Lookup, node: onnx.NodeProto) -> None:
    """Refuse what a network may end in that no task reads.

    Raises:
        GraphError: It is such an end.
    """
    kind = node.op_type
    if kind in ("Div", "Mul") and len(node.input) == 2 and graph.varies(node.input[1]):
        # A vector by its own length, or e to the logits by their sum.
        between = {*graph.before(node.input[1]), node.input[1]} - graph.before(node.input[0])
        kinds = {maker.op_type for name in between if (maker := graph.maker(name)) is not None}
        if kinds & {"ReduceL2", "Sqrt", "ReduceSumSquare"}:
            kind = "LpNormalization"
        elif "Exp" in kinds:
            kind = "Exp"
    if kind in _OTHER:
        what, mend = _OTHER[kind]
        raise GraphError(f"it ends in {node_label(node)}: {what}", mend=mend)


def _root(graph: Lookup, paths: Sequence[_Path], ranks: Mapping[str, int]) -> tuple[str, tuple[str, ...]]:
    """The classifier's root among those of all outputs, and what is to be warned of.

    Raises:
        GraphError: Several could be the classifier.
    """
    roots = list(dict.fromkeys(path.root for path in paths))
    earlier = {root: graph.before(root) for root in roots} if len(roots) > 1 else {}
    # What another output is computed from leads up to it: features, and not the classifier.
    last = [r for r in roots if not any(r in earlier[other] for other in roots if other != r)] or roots
    if len(last) == 1:
        earlier_ones = [repr(path.output) for path in paths if path.root != last[0]]
        return last[0], tuple(
            f"the file's output {name} is left out: it leads up to the classifier's. --task features puts it "
            "out instead"
            for name in earlier_ones
        )
    flat = [r for r in last if any(p.root == r and (ranks[p.output] == 2 or p.cut) for p in paths)]
    if len(flat) != 1:
        names = ", ".join(repr(path.output) for path in paths)
        raise GraphError(
            f"it has {len(paths)} outputs: {names}; several could be the classifier's",
            mend="keep the one that is wanted: onnx.utils.extract_model(old, new, inputs, [output])",
        )
    left = ", ".join(repr(p.output) for p in paths if p.root in last and p.root not in flat)
    return flat[0], (f"the file's output {left} is left out: it is no classifier's",)


def _each(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Each node once: several outputs may come of it."""
    seen = set[str]()
    for node in nodes:
        if node.output[0] not in seen:
            seen.add(node.output[0])
            yield node


def _notes(chosen: _Path, paths: Sequence[_Path]) -> Iterator[str]:
    """What was cut off and what was left, in the file's terms."""
    if chosen.cut:
        chain = ", ".join(node_label(node) for node in reversed(chosen.cut))
        yield f"cut off its end, for what runs the bundle to do: {chain}"
    others = [repr(path.output) for path in paths if path is not chosen]
    if others:
        yield f"of its outputs {chosen.output!r} is taken, {', '.join(others)} not"
