"""Recognise Swish, x·σ(x), as one unit.

          ┌── Sigmoid ──┐
    x ────┤             Mul ── y      ⇒      x ── edgeeff.Swish ── y
          └─────────────┘

Half of the field's INT8 accidents with EfficientNet start between those two operators, so from here to the
runtime's own form they are one node: an ONNX function, whose body any ONNX runtime can expand. A
squeeze-excite gate is a Sigmoid too, but multiplies another tensor than its own input, and is left alone.
"""

from __future__ import annotations

import onnx_ir as ir

from edgeeff.graph.model import remove

REQUIRES = frozenset({"constants are initializers"})
ENSURES = frozenset({"Swish is whole"})

DOMAIN = "edgeeff"
OPERATOR = "Swish"


def rewrite(model: ir.Model) -> bool:
    """Replace each Sigmoid and Mul that together are Swish by one node."""
    changed = False
    for product in [n for n in model.graph if n.op_type == "Mul"]:
        source = _swish_input(product)
        if source is None:
            continue
        sigmoid = next(v.producer() for v in product.inputs if v is not None and v is not source)
        assert sigmoid is not None
        swish = ir.Node(DOMAIN, OPERATOR, [source], name=product.name, num_outputs=1)
        swish.outputs[0].shape = product.outputs[0].shape
        swish.outputs[0].type = product.outputs[0].type
        swish.outputs[0].name = product.outputs[0].name
        model.graph.insert_before(product, swish)
        remove(product, swish.outputs[0])
        model.graph.remove(sigmoid, safe=True)
        changed = True
    if changed:
        function = swish_function(model.opset_imports[""])
        model.functions[function.identifier()] = function
        model.opset_imports[DOMAIN] = 1
    return changed


def swish_function(opset: int) -> ir.Function:
    """Swish as an ONNX function: x ↦ x·σ(x)."""
    x = ir.Value(name="x")
    sigmoid = ir.Node("", "Sigmoid", [x], num_outputs=1, name="sigmoid")
    product = ir.Node("", "Mul", [x, sigmoid.outputs[0]], num_outputs=1, name="product")
    sigmoid.outputs[0].name, product.outputs[0].name = "s", "y"
    body = ir.Graph([x], [product.outputs[0]], nodes=[sigmoid, product], opset_imports={"": opset})
    return ir.Function(DOMAIN, OPERATOR, graph=body, attributes=[])


def _swish_input(product: ir.Node) -> ir.Value | None:
    """x, if the product is x·σ(x) and nothing else reads σ(x)."""
    for gate, source in (product.inputs, reversed(product.inputs)):
        sigmoid = gate.producer() if gate is not None else None
        if sigmoid is None or sigmoid.op_type != "Sigmoid" or len(sigmoid.outputs[0].uses()) != 1:
            continue
        if sigmoid.inputs[0] is source and not sigmoid.outputs[0].is_graph_output():
            return source
    return None
