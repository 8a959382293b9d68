"""Swish written in the two steps that TFLite quantises: LOGISTIC, then MUL.

    x ── Swish ── y      ⇒      x ──┬── Sigmoid ── s ──┬── Mul ── y
                                    └──────────────────┘

The statistics of x and y stay as they are; s needs none, its scale is fixed by the specification.
"""

from __future__ import annotations

import onnx_ir as ir

from edgeeff.graph.passes.fuse_swish import DOMAIN, OPERATOR


def rewrite(model: ir.Model) -> ir.Model:
    """A graph with each Swish written out, in which y keeps its name; the argument is left as it is."""
    model = model.clone()
    for swish in [n for n in model.graph if (n.domain, n.op_type) == (DOMAIN, OPERATOR)]:
        source, output = swish.inputs[0], swish.outputs[0]
        sigmoid = ir.Node("", "Sigmoid", [source], name=f"{swish.name}.sigmoid", num_outputs=1)
        sigmoid.outputs[0].name = sigmoid.name
        product = ir.Node("", "Mul", [source, sigmoid.outputs[0]], name=swish.name, num_outputs=1)
        for made in (sigmoid, product):
            made.outputs[0].shape, made.outputs[0].dtype = output.shape, ir.DataType.FLOAT
        name = output.name
        model.graph.insert_before(swish, [sigmoid, product])
        ir.convenience.replace_all_uses_with(output, product.outputs[0], replace_graph_outputs=True)
        model.graph.remove(swish, safe=True)
        product.outputs[0].name = name
    model.functions.pop((DOMAIN, OPERATOR, ""), None)
    model.opset_imports.pop(DOMAIN, None)
    return model
