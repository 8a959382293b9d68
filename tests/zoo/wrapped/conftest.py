"""Random networks as people build them around ours: small trunks, heads, wrappers, and what they save."""

from __future__ import annotations

import copy
import random
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgeeff.zoo import catalog, efficientnet

#: A B0 of half the channels and a third of the depth, and its Lite twin. No stage leaves the number of
#: channels as it is: efficientnet_pytorch would not add such a first block's input.
SMALL = {"b": "b:width=0.5,depth=0.3,size=32", "lite": "lite:width=0.5,depth=0.3,size=32"}
SIZE = 32


@dataclass
class Case:
    """A user's network, what he saves of it, and what he may say.

    Args:
        module: It computes what has to be built: from pixels of 0…1 if ``own_pixels``, else normalised ones.
        content: What is saved.
        model: The name of its trunk.
        said: What it is made of, for messages.
        options: What the user would say if asked: ``--head``, ``--prefix``.
        safetensors: Saved so, not by torch.
    """

    module: nn.Module
    content: Any
    model: str
    said: list[str]
    options: dict[str, str] = field(default_factory=dict)
    own_pixels: bool = False
    safetensors: bool = False


class Renamed(nn.Module):
    """A network with the layers of its classifier under the name that a library gives it."""

    def __init__(self, trunk: nn.Module, classifier: nn.Module, name: str) -> None:
        super().__init__()
        for key, child in trunk.named_children():
            if key not in ("hidden", "classifier"):
                setattr(self, key, child)
        self.slot = name
        setattr(self, name, classifier)

    def features(self, x: Tensor) -> Tensor:
        return torch.flatten(self.pool(self.head(self.blocks(self.stem(x)))), 1)

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self, self.slot)(self.features(x))


class Beside(nn.Module):
    """A trunk without its classifier, and layers of one's own."""

    def __init__(self, trunk: nn.Module, head: nn.Module, names: tuple[str, str]) -> None:
        super().__init__()
        self.names = names
        setattr(self, names[0], trunk)
        setattr(self, names[1], head)

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self, self.names[1])(getattr(self, self.names[0])(x))


class Named(nn.Module):
    """Layers with names of their own, in the order of ``order``; activations are called, not held."""

    def __init__(self, layers: list[tuple[str, nn.Module]], held: list[str]) -> None:
        super().__init__()
        self.order = [layer.eval() if name not in held else name for name, layer in layers]
        for name in held:
            setattr(self, name, dict(layers)[name])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.order:
            x = (getattr(self, layer) if isinstance(layer, str) else layer)(x)
        return x


class Normalize(nn.Module):
    """(x − mean) ÷ std, as a layer in front."""

    def __init__(self, mean: Tensor, std: Tensor, names: tuple[str, str]) -> None:
        super().__init__()
        self.names = names
        self.register_buffer(names[0], mean)
        self.register_buffer(names[1], std)

    def forward(self, x: Tensor) -> Tensor:
        mean, std = (getattr(self, name).reshape(1, -1, 1, 1) for name in self.names)
        return (x - mean) / std


class Residual(nn.Module):
    """Features with something added: no head can say it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, width), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attend(x)


def lively(module: nn.Module, seed: int) -> nn.Module:
    """Random values as training leaves them, drawn for each tensor."""
    generator = torch.Generator().manual_seed(seed)
    for key, value in module.state_dict().items():
        if key.endswith("num_batches_tracked") or not value.is_floating_point():
            continue
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        elif key.endswith(("running_mean", "bias")):
            value.normal_(0, 0.2, generator=generator)
        elif value.dim() == 1:
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.dim() >= 2:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
    return module.eval()


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hard_tanh": nn.Hardtanh,
    "hard_sigmoid": nn.Hardsigmoid,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
}


def layers(r: random.Random, width: int, classes: int) -> tuple[list[nn.Module], list[str]]:
    """A head from ``width`` features to ``classes``: its modules, and what ``--head`` would say."""
    found: list[nn.Module] = []
    words: list[str] = []

    def add(word: str, module: nn.Module) -> None:
        found.append(module)
        words.append(word)

    def idle() -> None:
        if r.random() < 0.3:
            add("dropout", nn.Dropout(0.3))

    if r.random() < 0.15:
        add("bn", nn.BatchNorm1d(width))
    idle()
    for _ in range(r.choice([0, 0, 1, 1, 2])):
        after = r.choice([4, 6, 8])
        add("linear", nn.Linear(width, after, bias=r.random() < 0.8))
        between: list[str] = r.choice([["bn", "act"], ["act", "bn"], ["act"], ["act"], ["bn"], []])
        for kind in between:
            if kind == "bn":
                add("bn", nn.BatchNorm1d(after))
            else:
                name = r.choice(list(ACTIVATIONS))
                add(name, ACTIVATIONS[name]())
        idle()
        width = after
    add("linear", nn.Linear(width, classes, bias=r.random() < 0.85))
    if r.random() < 0.1:
        add("bn", nn.BatchNorm1d(classes))
    return found, words


def arranged(r: random.Random, modules: list[nn.Module], said: list[str]) -> nn.Module:
    """The layers as a Sequential, nested ones, or a class of one's own."""
    kind = r.choice(["sequential", "sequential", "nested", "named", "ordered", "list"])
    said.append(kind)
    if kind == "nested" and len(modules) > 1:
        cut = r.randrange(1, len(modules))
        return nn.Sequential(nn.Sequential(*modules[:cut]), nn.Sequential(*modules[cut:]))
    if kind == "ordered":
        return nn.Sequential(OrderedDict((f"layer{i}", m) for i, m in enumerate(modules)))
    if kind in ("named", "list"):
        pairs = [(f"{type(m).__name__.lower()[:2]}{i}", m) for i, m in enumerate(modules)]
        held = [name for name, module in pairs if module.state_dict()]
        if kind == "named" and r.random() < 0.3:
            r.shuffle(held)
        if kind == "list":
            head = Named(pairs, [])
            head.layers = nn.ModuleList([module for name, module in pairs if name in held])
            return head
        return Named(pairs, held)
    return nn.Sequential(*modules)


def trunk_of(r: random.Random, seed: int, said: list[str]) -> tuple[nn.Module, str, str, int]:
    """A small network, its model's name, what its classifier is called, and its number of features."""
    kind = r.choice(["ours", "ours", "efficientnet_pytorch", "geffnet"])
    family = "b" if kind != "ours" else r.choice(["b", "lite"])
    said.append(f"{kind} {family}")
    return trunk_from(kind, family, seed)


def trunk_from(kind: str, family: str, seed: int) -> tuple[nn.Module, str, str, int]:
    """The same from one library."""
    spec = catalog.get(SMALL[family])
    if kind == "efficientnet_pytorch":
        from efficientnet_pytorch import EfficientNet
        from efficientnet_pytorch.utils import efficientnet as scaled

        blocks, parameters = scaled(width_coefficient=0.5, depth_coefficient=0.3, num_classes=7)
        network: nn.Module = EfficientNet(blocks, parameters)
        name = "_fc"
    elif kind == "geffnet":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it scripts functions when it is imported
            from geffnet.gen_efficientnet import _gen_efficientnet

        network = _gen_efficientnet("b", channel_multiplier=0.5, depth_multiplier=0.3, num_classes=7)
        name = "classifier"
    else:
        network = efficientnet.build(spec, 7, (SIZE, SIZE))
        name = "classifier"
    return lively(network, seed), SMALL[family], name, spec.architecture.head


def case(seed: int) -> Case:
    """One random network."""
    r = random.Random(seed)
    said: list[str] = []
    trunk, model, name, width = trunk_of(r, seed, said)
    classes = r.choice([2, 3, 5])
    modules, words = layers(r, width, classes)
    options: dict[str, str] = {}
    module: nn.Module
    place = r.choice(["plain", "own", "own", "own", "beside", "beside", "after", "unused"])
    said += [place, ",".join(words)]
    free = copy.deepcopy(trunk)
    setattr(free, name, nn.Identity())
    if isinstance(trunk, efficientnet.EfficientNet):
        free = Renamed(trunk, nn.Identity(), name)
    if place == "plain":
        module, words = trunk, ["linear"]
    elif place == "own":
        head = lively(arranged(r, modules, said), seed + 1)
        module = Renamed(trunk, head, name) if isinstance(trunk, efficientnet.EfficientNet) else trunk
        setattr(module, name, head)
        options["head"] = ",".join(words)
    elif place == "after":
        modules, words = layers(r, 7, classes)
        between = r.choice(["relu", "tanh", ""])
        extra = [ACTIVATIONS[between]()] if between else []
        module = nn.Sequential(trunk, *extra, *lively(nn.Sequential(*modules), seed + 1))
        said[-1] = ",".join(filter(None, [between, *words]))
        options["head"] = ",".join(["linear", *filter(None, [between]), *words])
    else:
        head = lively(arranged(r, modules, said), seed + 1)
        names = r.choice(
            [("backbone", "fc"), ("net", "head"), ("model", "classifier_layer"), ("encoder", "proj")]
        )
        module = Beside(free, head, names)
        options["head"] = ",".join(words)
        if place == "unused":  # its own classifier is still there, and not called
            setattr(getattr(module, names[0]), name, _Skipped(lively(nn.Linear(width, 7), seed + 2)))
            options["head"] = f"{names[1]}:{options['head']}"
    return _saved(r, seed, module, model, said, options, width)


class _Skipped(nn.Module):
    """A Linear that is held and not computed, under the same keys."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, x: Tensor) -> Tensor:
        return x


class _Then(nn.Module):
    """Something more around the whole network."""

    def __init__(self, net: nn.Module, **parts: nn.Module | Tensor) -> None:
        super().__init__()
        self.net = net
        for name, part in parts.items():
            if isinstance(part, Tensor):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "adapt"):
            x = self.adapt(x)
        y = self.net(x)
        return y / self.temperature if hasattr(self, "temperature") else y


def _saved(
    r: random.Random, seed: int, module: nn.Module, model: str, said: list[str], options: dict[str, str],
    width: int,
) -> Case:  # fmt: skip
    """Wrap it once more, or not, and save it in some form."""
    own_pixels = False
    wrapping = r.choice(
        ["", "", "", "normalize", "loss", "adapt", "temperature", "aux", "copy", "ema", "siamese"]
    )
    said.append(wrapping or "bare")
    if wrapping == "normalize":
        scale = r.choice([1.0, 255.0])
        shape = r.choice([(3,), (3, 1, 1), (1, 3, 1, 1)])
        mean, std = (torch.tensor(v).reshape(shape) * scale for v in ([0.4, 0.5, 0.6], [0.25, 0.3, 0.2]))
        names = r.choice([("mean", "std"), ("pixel_mean", "pixel_std"), ("_mean", "_std")])
        module, own_pixels = nn.Sequential(Normalize(mean, std, names), module), True
    elif wrapping == "loss":
        module = _Then(module, criterion=_buffers(weight=torch.ones(3)), total_ops=torch.zeros(1))
    elif wrapping == "adapt":
        module = _Then(module, adapt=lively(nn.Conv2d(3, 3, 1), seed + 3))
    elif wrapping == "temperature":
        module = _Then(module, temperature=torch.tensor([1.7]))
    elif wrapping == "aux":
        module = _Then(module, aux=lively(nn.Linear(width, 4), seed + 3))
    state = OrderedDict(module.state_dict())
    if wrapping in ("copy", "ema", "siamese"):
        other = lively(copy.deepcopy(module), seed + 9).state_dict()
        mine, theirs = {"copy": ("student.", "teacher."), "ema": ("ema.", "model."), "siamese": ("a.", "b.")}[
            wrapping
        ]
        state = OrderedDict(
            {theirs + k: v for k, v in other.items()} | {mine + k: v for k, v in state.items()}
        )
        if wrapping != "ema":
            options["prefix"] = mine
    elif r.random() < 0.3:
        start = r.choice(["module.", "model.", "_orig_mod."])
        state = OrderedDict((start + key, value) for key, value in state.items())
    form = r.choice(["plain", "plain", "state_dict", "model", "safetensors"])
    said.append(form)
    content = {"state_dict": {"epoch": 1, "state_dict": state}, "model": {"model": state}}.get(form, state)
    return Case(module, content, model, said, options, own_pixels, form == "safetensors")


def _buffers(**tensors: Tensor) -> nn.Module:
    module = nn.Module()
    for name, tensor in tensors.items():
        module.register_buffer(name, tensor)
    return module


@pytest.fixture(scope="session")
def make_case() -> Callable[[int], Case]:
    """``make_case(seed)``: one random network."""
    return case


@pytest.fixture(scope="session")
def make_trunk() -> Callable[[str], tuple[nn.Module, str]]:
    """``make_trunk(library)``: a small whole network, and its model's name."""
    return lambda library: trunk_from(library, "b", 7)[:2]
