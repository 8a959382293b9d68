"""Writes what other libraries say of the family's networks to tests/fixtures/naming, for the ordinary tests.

``python tests/parity/tables.py timm torchvision`` in the environment of the parity tier, and ``python
tests/parity/tables.py keras`` in the ordinary one. A library's file is xz'd JSON: a list of networks, with

- ``tensors``: the library's name → shape, in the library's order; Keras's transposed to torch's layout;
- ``names``: every name under which the library offers these tensors → its padding, epsilon, activation and
  multiply-adds by size, and under ``pretrained`` what it says of each of its weights' preprocessing;
- ``parameters``: their number, with 1000 classes.

Nothing is downloaded; networks are built without memory, on the meta device, where the library can.
"""

from __future__ import annotations

import json
import lzma
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "fixtures" / "naming"

Network = dict[str, Any]

# timm's relatives outside the family: other normalisations and grouped convolutions (gn, evos, ln, g8, g16),
# antialiasing (blur), conditional convolutions (cc), pruned channels, global context instead of
# squeeze-and-excite (gc), TPU-style X and H networks, and its own miniatures for tests.
_OUTSIDE = re.compile(r"_(gn|evos|ln|blur|cc|pruned|x|h)(_|$)|^gc_|^test_")


def timm() -> Iterator[tuple[str, Network]]:
    """All plain EfficientNets of timm."""
    import timm as library
    import torch

    for name in library.list_models("*efficientnet*"):
        if _OUTSIDE.search(name):
            continue
        with torch.device("meta"):
            module = library.create_model(name).eval()
        pretrained = {
            tag.partition(".")[2]: _timm_config(library.get_pretrained_cfg(tag).to_dict())
            for tag in library.list_pretrained(name)
        }
        sizes = {
            side
            for own in [*pretrained.values(), _timm_config(module.pretrained_cfg)]
            for side in own["sizes"]
        }
        yield name, _torch_network(module, sizes) | {"pretrained": pretrained}


def _timm_config(given: dict[str, Any]) -> dict[str, Any]:
    sizes = [given[key][1] for key in ("input_size", "test_input_size") if given.get(key)]
    keys = ("mean", "std", "crop_pct", "test_crop_pct", "interpolation", "crop_mode", "num_classes")
    return {"sizes": sizes} | {key: given[key] for key in keys if given.get(key) is not None}


def effdet() -> Iterator[tuple[str, Network]]:
    """effdet's detectors on EfficientNets: ``tf_…``, its own, and one with normalisation by level first."""
    import torch
    from effdet import create_model, get_efficientdet_config
    from effdet.config.model_config import efficientdet_model_param_dict

    for name in efficientdet_model_param_dict:
        if not re.fullmatch(
            r"tf_efficientdet_\w+(?<!_ap)|efficientdet_([dq]\d|lite0)|efficientdetv2_d[ts]", name
        ):
            continue
        with torch.device("meta"):
            module = create_model(name, pretrained_backbone=False).eval()
        config = get_efficientdet_config(name)
        yield name, _detector(module, config)
        if name == "tf_efficientdet_d0":
            with torch.device("meta"):
                module.toggle_head_bn_level_first()
            yield f"{name}, level first", _detector(module, config)


def _detector(module: Any, config: Any) -> Network:
    """The facts of a detector on the meta device."""
    state = module.state_dict()
    return {
        "tensors": {key: list(value.shape) for key, value in state.items()},
        "parameters": sum(value.numel() for value in module.parameters()),
        "size": list(config.image_size),
        "scale": config.anchor_scale,
        "levels": [config.min_level, config.max_level],
        "ratios": [list(r) if hasattr(r, "__len__") else r for r in config.aspect_ratios],
    }


def torchvision() -> Iterator[tuple[str, Network]]:
    """All EfficientNets of torchvision."""
    import torch
    from torchvision import models

    for name in models.list_models(include="efficientnet*"):
        with torch.device("meta"):
            module = models.get_model(name).eval()
        pretrained = {}
        for weights in models.get_model_weights(name):
            own = weights.transforms()
            pretrained[weights.name] = {
                "sizes": own.crop_size,
                "resize": own.resize_size,
                "mean": own.mean,
                "std": own.std,
                "interpolation": own.interpolation.value,
                "top1": weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
            }
        sizes = {own["sizes"][0] for own in pretrained.values()}
        yield name, _torch_network(module, sizes) | {"pretrained": pretrained}


def _torch_network(module: Any, sizes: set[int]) -> Network:
    """The facts of a torch module."""
    from torch import nn

    norms = {part.eps for part in module.modules() if isinstance(part, nn.BatchNorm2d)}
    kinds = {type(part).__name__ for part in module.modules()}
    (epsilon,) = norms
    (activation,) = {"SiLU": "swish", "ReLU6": "relu6", "ReLU": "relu"}.keys() & kinds
    return {
        "tensors": {key: list(value.shape) for key, value in module.state_dict().items()},
        "parameters": sum(value.numel() for value in module.parameters()),
        "padding": "same" if "Conv2dSame" in kinds else "symmetric",
        "epsilon": epsilon,
        "activation": {"SiLU": "swish", "ReLU6": "relu6", "ReLU": "relu"}[activation],
        "multiply_adds": {str(size): multiply_adds(module, (size, size)) for size in sorted(sizes)},
    }


def multiply_adds(module: Any, size: tuple[int, int]) -> int:
    """What the convolutions and linear layers of a module on the meta device multiply for one image."""
    import torch
    from torch import nn

    counts: list[int] = []

    def count(part: Any, _: Any, output: Any) -> None:
        pixels = output.shape[-2] * output.shape[-1] if isinstance(part, nn.Conv2d) else 1
        counts.append(part.weight.numel() * pixels)

    layers = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    hooks = [part.register_forward_hook(count) for part in layers]
    with torch.no_grad():
        module(torch.empty(1, 3, *size, device="meta"))
    for hook in hooks:
        hook.remove()
    return sum(counts)


def keras() -> Iterator[tuple[str, Network]]:
    """All EfficientNets of keras.applications; keys are ``<layer>/<variable>``."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import torch
    from keras import applications, layers

    names = sorted(name for name in dir(applications) if re.fullmatch(r"EfficientNet(B|V2).*", name))
    with torch.device("meta"):
        for name in names:
            model = getattr(applications, name)(weights=None)
            tensors = {}
            for layer in model.layers:
                for variable in layer.weights:
                    shape = list(variable.shape)
                    if isinstance(layer, layers.DepthwiseConv2D):
                        shape = [shape[2], 1, *shape[:2]]
                    elif len(shape) == 4:
                        shape = [shape[3], shape[2], *shape[:2]]
                    elif len(shape) == 2:
                        shape = shape[::-1]
                    # A second network of a process has layers "normalization_1" and so on.
                    layer_name = re.sub(r"^(normalization)_\d+$", r"\1", layer.name)
                    tensors[f"{layer_name}/{variable.name}"] = shape
            (epsilon,) = {
                part.epsilon for part in model.layers if isinstance(part, layers.BatchNormalization)
            }
            yield (
                name,
                {
                    "tensors": tensors,
                    "parameters": sum(value.numel() for part in model.layers for value in _trained(part)),
                    "padding": "same",
                    "epsilon": epsilon,
                    "activation": "swish",
                    "multiply_adds": {},
                    "pretrained": {"imagenet": {"sizes": [model.input_shape[1]]}},
                },
            )


def _trained(layer: Any) -> list[Any]:
    return [variable.value for variable in layer.trainable_variables]


#: Networks of segmentation_models_pytorch: class, encoder, and what else they are made with.
SMP: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Unet", "efficientnet-b0", {}),
    ("Unet", "efficientnet-b2", {"decoder_attention_type": "scse"}),
    ("Unet", "efficientnet-b3", {"classes": 1}),
    ("Unet", "timm-efficientnet-b0", {}),
    ("Unet", "timm-tf_efficientnet_lite0", {"decoder_interpolation": "bilinear"}),
    ("Unet", "tu-tf_efficientnet_b0", {}),
    ("Unet", "tu-tf_efficientnetv2_b0", {}),
    ("Unet", "tu-efficientnet_b1", {"encoder_depth": 4, "decoder_channels": [64, 32, 16, 8]}),
    ("DeepLabV3Plus", "efficientnet-b0", {}),
    ("DeepLabV3Plus", "timm-efficientnet-b1", {"encoder_output_stride": 8}),
    ("DeepLabV3Plus", "tu-efficientnet_b0", {"decoder_atrous_rates": [6, 12, 18]}),
    ("DeepLabV3Plus", "tu-tf_efficientnet_b0", {}),
    ("DeepLabV3", "efficientnet-b1", {"encoder_output_stride": 8}),
    ("FPN", "efficientnet-b0", {}),
    ("UnetPlusPlus", "efficientnet-b0", {}),
    ("Linknet", "efficientnet-b0", {}),
    ("MAnet", "efficientnet-b0", {}),
    ("PAN", "efficientnet-b0", {}),
    ("PSPNet", "efficientnet-b0", {}),
    ("UPerNet", "efficientnet-b0", {}),
)


def smp() -> Iterator[tuple[str, Network]]:
    """Some segmenters of segmentation_models_pytorch, with what save_pretrained writes of them."""
    import segmentation_models_pytorch as library
    import torch

    for kind, encoder, options in SMP:
        made = {"encoder_name": encoder, "encoder_weights": None, "classes": 5, **options}
        with torch.device("meta"):
            module = getattr(library, kind)(**made)
        name = f"{kind} {json.dumps(made)}"
        tensors = {key: list(value.shape) for key, value in module.state_dict().items()}
        config = json.loads(json.dumps({**module.config, "_model_class": kind}))
        yield name, {"tensors": tensors, "parameters": 0, "config": config}


def write(library: str) -> Path:
    """Write a library's file; networks of the same tensors are one."""
    found: dict[str, Network] = {}
    for name, network in globals()[library]():
        tensors, parameters = network.pop("tensors"), network.pop("parameters")
        # The order is part of the identity: it is what a file has.
        entry = found.setdefault(
            json.dumps(tensors), {"names": {}, "parameters": parameters, "tensors": tensors}
        )
        entry["names"][name] = network
    path = FOLDER / f"{library}.json.xz"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(list(found.values()), separators=(",", ":"))
    path.write_bytes(lzma.compress(text.encode(), preset=9))
    return path


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        made = write(wanted)
        sys.stdout.write(f"{made}: {made.stat().st_size} bytes\n")
