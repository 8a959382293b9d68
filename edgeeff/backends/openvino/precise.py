"""Keep what a detector's last layers give in float32, where the rest computes in bf16.

With INFERENCE_PRECISION_HINT bf16 OpenVINO rounds what an INT8 convolution gives to bf16, even where only the
result follows. 28 000 logits of a detector then have some 450 values, so that many boxes share a score, and
their order, on which NMS and average precision stand, is a matter of chance. Operations that are marked
``precise`` (OpenVINO's own mark, ``ov::DisableFP16Compression``) keep float32: the convolutions read INT8 as
before and write float32, which spares a conversion behind them.
"""

from __future__ import annotations

import html
import re
from typing import Any

_LAYERS = frozenset({"Convolution", "GroupConvolution", "MatMul"})
_MARK = '<attribute name="precise" version="0" />'


def ends(model: Any) -> frozenset[str]:
    """The names of the operations from the last layers with weights on, those layers among them."""
    found: set[str] = set()
    waiting = [value.get_node() for result in model.results for value in result.input_values()]
    while waiting:
        node = waiting.pop()
        name = node.get_friendly_name()
        if node.get_type_name() in ("Constant", "Parameter") or name in found:
            continue
        found.add(name)
        if node.get_type_name() not in _LAYERS:
            waiting += [value.get_node() for value in node.input_values()]
    return frozenset(found)


def marked(xml: bytes, names: frozenset[str]) -> bytes:
    """An IR's text with these operations marked."""

    def mark(layer: re.Match[str]) -> str:
        if html.unescape(layer["name"]) not in names:
            return layer[0]
        if "<rt_info>" in layer["body"]:
            return layer["head"] + layer["body"].replace("<rt_info>", f"<rt_info>\n\t\t\t\t{_MARK}", 1)
        return f"{layer['head']}\n\t\t\t<rt_info>\n\t\t\t\t{_MARK}\n\t\t\t</rt_info>{layer['body']}"

    pattern = r'(?P<head><layer id="\d+" name="(?P<name>[^"]*)"[^>]*[^/]>)(?P<body>.*?</layer>)'
    return re.sub(pattern, mark, xml.decode(), flags=re.DOTALL).encode()
