"""Tensors of a checkpoint that no network computes with: what they are, told by name and shape.

A tensor that is neither a network's nor listed here is never left out: see :mod:`edgeeff.zoo.accounting`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor


def _one(tensor: Tensor) -> bool:
    return tensor.numel() <= 1


def _flat(tensor: Tensor) -> bool:
    return tensor.dim() <= 1


def _square(tensor: Tensor) -> bool:
    return len(set(tensor.shape)) == 1


def _no_layer(tensor: Tensor) -> bool:
    return tensor.dim() <= 1 or not tensor.is_floating_point()


# What it is; a part of the name, between dots, that says so; and what of that name it may be. A loss's or a
# metric's matrix may be a layer, such as the classifier of ArcFace: those are not set aside.
_KINDS: tuple[tuple[str, str, Callable[[Tensor], bool]], ...] = (
    (
        "a counter",
        "num_batches_tracked|n_averaged|num_updates|update_count|decay|initted|steps?|global_step|epochs?"
        "|iterations?|counter|version",
        _one,
    ),
    ("a profiler's count", "total_(ops|params)|__flops__|__params__", _one),
    ("a placeholder", "_?(dummy|device|float)_?(param|parameter|tensor|buffer|indicator)?", _one),
    ("a loss's", r"(\w+_)?(loss|losses|criterion|criteria)(_?(fn|func|function|weights?))?", _flat),
    ("a loss's class weights", "(class|cls|pos|label|ce)_?weights?|weight_ce", _flat),
    (
        "a metric's",
        "((train|val|valid|validation|test|best)_?)?"
        r"(acc|accuracy|metrics?|f1|f1_?score|auroc|auc|precision|recall)(_?\d+)?",
        _no_layer,
    ),
    ("a metric's", r"((train|val|valid|test)_?)?(conf_?mat|confusion_?matrix)", _square),
    (
        "an optimizer's",
        r"optim(izer)?s?(_states?)?|(lr_)?schedulers?|(grad_)?scaler|amp",
        lambda tensor: True,
    ),
)
_MATCHES = tuple((what, re.compile(pattern), fits) for what, pattern, fits in _KINDS)


def kind(key: str, tensor: Tensor) -> str | None:
    """What a tensor beside the network is, as ``a loss's``; None: nothing that may be left out."""
    if tensor.numel() == 0:
        return "empty"
    parts = key.lower().split(".")
    return next(
        (
            what
            for what, pattern, fits in _MATCHES
            if fits(tensor) and any(pattern.fullmatch(part) for part in parts)
        ),
        None,
    )


# Kinds of state_dict whose tensors are not plain weights: a tensor's name gives them away, or a group of
# names of one layer. Each with what it is and the way out.
_FLOAT = "pass the float checkpoint from before, and let edgeeff quantise it"
_QDQ = f"{_FLOAT}; or export it with its Q/DQ nodes to ONNX and pass that to `edgeeff emit`"
_AGAIN = "on each such layer, and save the state_dict again"
_UNHOOK = f"call torch.nn.utils.remove_spectral_norm(layer) {_AGAIN}"
_OTHERS: tuple[tuple[str, str, str], ...] = (
    (
        r"_(input|weight|output)_quantizer|(input|weight|output)_quantizer|_amax|_pre_quant_scale",
        "a quantisation-aware checkpoint of ModelOpt or pytorch-quantization",
        _QDQ,
    ),
    (
        r"weight_fake_quant|activation_post_process(_\d+)?|fake_quant_enabled|observer_enabled",
        "a quantisation-aware checkpoint of torch.ao",
        _QDQ,
    ),
    (
        r"_packed_params|zero_point|zero_points|qweight|qzeros|qscales",
        "a network that was quantised already",
        _FLOAT,
    ),
    (
        r"tensor_quant|fused_activation_quant_proxy|act_quant|weight_quant",
        "a quantisation-aware checkpoint of Brevitas",
        _QDQ,
    ),
    (
        r"_nncf|pre_ops|external_quantizers|nncf_module|_nncf_\w+",
        "a compressed checkpoint of NNCF",
        _FLOAT,
    ),
    (r"SCB|absmax|quant_map|quant_state|nested_absmax|nested_quant_map", "weights of bitsandbytes", _FLOAT),
    (r"weight_u", "a network with spectral norm, by torch's older hooks", _UNHOOK),
    (
        r"weight_orig|weight_mask|bias_orig|bias_mask",
        "a network pruned by torch.nn.utils.prune",
        f'call torch.nn.utils.prune.remove(layer, "weight") {_AGAIN}',
    ),
    (
        r"weight_g|weight_v|parametrizations",
        "a network with reparametrised weights (weight norm, spectral norm)",
        f'call torch.nn.utils.parametrize.remove_parametrizations(layer, "weight") {_AGAIN}',
    ),
    (
        r"lora_\w+|base_layer|lora|lokr_\w+|hada_\w+|adapter_\w+",
        "a network with LoRA adapters",
        "merge them into the weights (peft: model.merge_and_unload()), and save the state_dict again",
    ),
)
_NAMED = tuple((re.compile(pattern), what, mend) for pattern, what, mend in _OTHERS)


def not_weights(tensors: Mapping[str, Tensor]) -> tuple[str, str, str] | None:
    """The first tensor that shows a state_dict of other than plain weights, what it is, and the way out."""
    for pattern, what, mend in _NAMED:  # in this order: spectral norm has a weight_orig too
        for key in tensors:
            if any(pattern.fullmatch(part) for part in key.split(".")):
                return key, what, mend
    quantised = next((key for key, tensor in tensors.items() if tensor.is_quantized), None)
    return (quantised, "a network that was quantised already", _FLOAT) if quantised is not None else None
