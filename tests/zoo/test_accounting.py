"""Every tensor of a checkpoint: used, known to be of no use, or refused by its name."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from edgeeff.errors import CheckpointError, OptionError
from edgeeff.zoo import accounting, checkpoint_options
from edgeeff.zoo.efficientnet import ACTIVATIONS

FEATURES, CLASSES = 12, 5


class Trunk(nn.Module):
    """What the accounting sees of timm's network: a few names, no convolution is run."""

    def __init__(self, classifier=None):
        super().__init__()
        self.conv_stem, self.bn1 = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.conv_head, self.bn2 = nn.Conv2d(8, FEATURES, 1, bias=False), nn.BatchNorm2d(FEATURES)
        if classifier is not None:
            self.classifier = classifier


def lively(module):
    random = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=random)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.7, generator=random)
    return module.eval()


def module_of(**parts):
    """A module of parts: modules, parameters, buffers."""
    module = nn.Module()
    for name, part in parts.items():
        if isinstance(part, nn.Module | nn.Parameter):
            setattr(module, name, part)
        else:
            module.register_buffer(name, part)
    return lively(module)


def account(module, ordered=True, **options):
    state = module if isinstance(module, dict) else module.state_dict()
    return accounting.account(state, "w.pt", checkpoint_options.read(**options), ordered=ordered)


def refused(module, message, **options):
    with pytest.raises(CheckpointError, match=message) as caught:
        accounting.refuse_strays(account(module, **options), "w.pt")
    return caught.value


def computes(accounted, head, count=6):
    """Whether the head that was made computes what the module computes."""
    x = torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(1))
    y = x
    for i, activation in enumerate(accounted.head.activations):
        y = nn.functional.linear(
            y, accounted.head.tensors[f"hidden.{i}.weight"], accounted.head.tensors[f"hidden.{i}.bias"]
        )
        y = ACTIVATIONS[activation](y)
    y = nn.functional.linear(
        y, accounted.head.tensors["classifier.weight"], accounted.head.tensors["classifier.bias"]
    )
    with torch.no_grad():
        torch.testing.assert_close(y, head(x.clone()), rtol=1e-4, atol=1e-5)
    return True


def linear(inputs=FEATURES, outputs=CLASSES, bias=True):
    return nn.Linear(inputs, outputs, bias)


EXACT = {
    "linear": linear(),
    "sequential of one": nn.Sequential(linear()),
    "dropout, linear": nn.Sequential(nn.Dropout(0.2), linear()),
    "nested": nn.Sequential(nn.Sequential(nn.Dropout(0.2), linear())),
    "nothing between": nn.Sequential(linear(outputs=8), linear(8)),
    "norm after": nn.Sequential(linear(), nn.BatchNorm1d(CLASSES)),
    "no bias, norm": nn.Sequential(linear(bias=False), nn.BatchNorm1d(CLASSES)),
    "norm before": nn.Sequential(nn.BatchNorm1d(FEATURES), linear()),
    "norms around": nn.Sequential(
        nn.BatchNorm1d(FEATURES), linear(outputs=8), nn.BatchNorm1d(8, affine=False), linear(8)
    ),
    "a part of one's own": nn.ModuleDict({"fc": linear()}),
}


@pytest.mark.parametrize("name", EXACT)
def test_heads_whose_names_say_it(name):
    head = EXACT[name]
    module = lively(Trunk(head))
    accounted = account(module)
    assert computes(accounted, head["fc"] if name == "a part of one's own" else head)
    assert not accounted.strays
    assert not accounted.notes
    guessed = {
        "dropout, linear": "classifier.1",
        "nested": "classifier.0.1",
        "a part of one's own": "classifier.fc",
    }
    assert [f"before the head's {guessed.get(name)}: " in text for text in accounted.warnings] == (
        [True] if name in guessed else []
    )
    # What a norm adds to the variance is in no tensor: torch's own is taken, and said.
    assert [text for text in accounted.assumed if "epsilon, 1e-5" in text] == (
        ["the head's batch normalisation has torch's epsilon, 1e-5 (--head with bn(0.001) gives another)"]
        if "norm" in name
        else []
    )
    assert not account(module, head=",".join(LAYERS.get(name, ["linear"]))).warnings


LAYERS = {
    "nothing between": ["linear", "linear"],
    "norm after": ["linear", "bn"],
    "no bias, norm": ["linear", "bn"],
    "norm before": ["bn", "linear"],
    "norms around": ["bn", "linear", "bn", "linear"],
}


def test_torchvisions_classifier_is_second_by_itself():
    """Its own classifier is Sequential(Dropout, Linear): to replace the Linear is no guess."""
    names = {"conv_stem.": "features.0.0.", "bn1.": "features.0.1."}
    state = {
        new + key.removeprefix(old): value
        for key, value in lively(Trunk(nn.Sequential(nn.Dropout(), linear()))).state_dict().items()
        for old, new in (names | {"classifier.": "classifier."}).items()
        if key.startswith(old)
    }
    assert account(state).naming == "torchvision"
    assert not account(state).warnings


def test_the_one_linear_beside_the_network_is_a_guess():
    module = module_of(backbone=Trunk(), fc=linear())
    accounted = account(module)
    assert computes(accounted, module.fc)
    assert "taken to be fc, the one Linear layer beside the network" in accounted.warnings[0]
    for text in ("linear", "dropout,linear", "fc:linear"):
        assert computes(account(module, head=text), module.fc)
        assert not account(module, head=text).warnings


UNCLEAR = {
    "relu between": (nn.Sequential(linear(outputs=8), nn.ReLU(), linear(8)), "linear,relu,linear"),
    "tanh between": (nn.Sequential(linear(outputs=8), nn.Tanh(), linear(8)), "linear,tanh,linear"),
    "dropout between": (nn.Sequential(linear(outputs=8), nn.Dropout(), linear(8)), "linear,linear"),
    "norm and relu": (
        nn.Sequential(linear(outputs=8), nn.BatchNorm1d(8), nn.ReLU(), linear(8)),
        "linear,bn,relu,linear",
    ),
    "relu and norm": (
        nn.Sequential(linear(outputs=8), nn.ReLU(), nn.BatchNorm1d(8), nn.Dropout(), linear(8)),
        "linear,relu,bn,dropout(0.5),linear",
    ),
    "in parts": (
        nn.Sequential(nn.Sequential(linear(outputs=8), nn.SiLU()), nn.Sequential(linear(8))),
        "Linear, SiLU, Linear",
    ),
    "in parts with nothing between": (
        nn.Sequential(nn.Sequential(linear(outputs=8)), nn.Sequential(linear(8))),
        "linear,linear",
    ),
    "far in": (nn.Sequential(nn.ReLU(), nn.Dropout(), linear()), "relu,linear"),
    "norm behind something": (
        nn.Sequential(nn.ReLU(), nn.BatchNorm1d(FEATURES), linear()),
        "relu,bn,linear",
    ),
    "no bias": (nn.Sequential(nn.Dropout(), linear(bias=False)), "linear"),
    "leaky": (
        nn.Sequential(linear(outputs=8), nn.LeakyReLU(0.2), linear(8)),
        "linear,leaky_relu(0.2),linear",
    ),
    "prelu": (nn.Sequential(linear(outputs=8), nn.PReLU(8), linear(8)), "linear,prelu,linear"),
    "epsilon": (
        nn.Sequential(linear(outputs=8), nn.BatchNorm1d(8, eps=0.01), nn.Sigmoid(), linear(8)),
        "linear,bn(0.01),sigmoid,linear",
    ),
}


@pytest.mark.parametrize("name", UNCLEAR)
@pytest.mark.parametrize("place", ["own", "beside"])
def test_heads_whose_names_do_not_say_it(name, place):
    head, text = UNCLEAR[name]
    module = lively(Trunk(head)) if place == "own" else module_of(net=Trunk(), fc=head)
    error = refused(module, "does not say what its head computes")
    assert "--head" in error.mend and "ONNX" in error.mend and "module:callable" in error.mend
    assert computes(account(module, head=text), head)


class Named(nn.Module):
    """Layers with names, in the order of ``forward``."""

    def __init__(self, order, **layers):
        super().__init__()
        for key, layer in layers.items():
            setattr(self, key, layer)
        self.order = order

    def forward(self, x):
        for name in self.order:
            x = getattr(self, name)(x) if hasattr(self, name) else getattr(torch, name)(x)
        return x


def test_layers_with_names():
    layers = {"fc1": linear(outputs=8), "bn1": nn.BatchNorm1d(8), "fc2": linear(8)}
    head = Named(["fc1", "bn1", "relu", "fc2"], **layers)
    refused(lively(Trunk(head)), r"classifier\.fc1 8×12, classifier\.bn1 8, classifier\.fc2 5×8")
    assert computes(account(lively(Trunk(head)), head="linear,bn,relu,linear"), head)
    # Registered in another order than it computes: only one order fits the kinds and shapes.
    head = Named(["fc1", "bn1", "relu", "fc2"], **dict(reversed(layers.items())))
    assert computes(account(lively(Trunk(head)), head="linear,bn,relu,linear"), head)


def test_order_that_a_file_does_not_keep():
    """safetensors sorts its tensors: numbers still tell the order, and names only where one order fits."""
    head = nn.Sequential(*(nn.Dropout() for _ in range(8)), linear(outputs=8), nn.ReLU(), nn.Linear(8, 8),
                         nn.ReLU(), linear(8))  # fmt: skip
    state = dict(sorted(lively(Trunk(head)).state_dict().items()))
    assert next(key for key in state if key.startswith("classifier")) == "classifier.10.bias"
    assert computes(account(state, ordered=False, head="linear,relu,linear,relu,linear"), head)
    head = Named(["out", "relu", "inner"], out=linear(outputs=8), inner=linear(8))
    state = dict(sorted(lively(Trunk(head)).state_dict().items()))
    assert computes(account(state, ordered=False, head="linear,relu,linear"), head)
    order = ["a", "relu", "c", "relu", "b", "relu", "d"]
    head = Named(order, a=linear(outputs=8), c=nn.Linear(8, 8), b=nn.Linear(8, 8), d=linear(8))
    refused(
        lively(Trunk(head)),
        "match it in more than one order",
        ordered=False,
        head=",".join(["linear,relu"] * 3) + ",linear",
    )
    assert computes(account(lively(Trunk(head)), head="linear,relu,linear,relu,linear,relu,linear"), head)


@pytest.mark.parametrize(
    "text", ["linear", "linear,linear,linear", "bn,linear,linear", "linear,prelu,linear", "other:linear"]
)
def test_head_that_the_file_does_not_hold(text):
    head = nn.Sequential(linear(outputs=8), nn.ReLU(), linear(8))
    refused(lively(Trunk(head)), "--head says .* which do not match it in number", head=text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' is no layer"),
        ("linear,,linear", "'' is no layer"),
        ("bn,relu", "no linear layer"),
        ("linear,relu", "ends in relu"),
        ("linear,softmax", "softmax cannot be kept"),
        ("linear,gelu,linear", "gelu cannot be kept"),
        ("linear,bn(2),linear", "makes no sense"),
        ("linear(3)", "makes no sense"),
        ("linear,leaky_relu(x),linear", "makes no sense"),
    ],
)
def test_head_option_that_makes_no_sense(text, complaint):
    with pytest.raises(OptionError, match=re.escape(complaint)):
        checkpoint_options.read(head=text)
    with pytest.raises(OptionError, match="--prefix is empty"):
        checkpoint_options.read(prefix=" ")


BESIDE = {
    "unused classifier": lambda: module_of(net=Trunk(linear(outputs=9)), classifier_layer=linear(outputs=2)),
    "a layer after": lambda: lively(nn.Sequential(Trunk(linear(outputs=9)), nn.ReLU(), linear(9, 3))),
    "a layer right after": lambda: lively(nn.Sequential(Trunk(linear(outputs=9)), linear(9, 3))),
    "norm after": lambda: module_of(net=Trunk(), fc=linear(), bn=nn.BatchNorm1d(CLASSES)),
    "norm before": lambda: module_of(net=Trunk(), bn=nn.BatchNorm1d(FEATURES), fc=linear()),
    "two heads": lambda: module_of(net=Trunk(), colour=linear(), make=linear(outputs=3)),
    "module list": lambda: module_of(net=Trunk(), heads=nn.ModuleList([linear(), linear(outputs=2)])),
    "auxiliary head": lambda: module_of(net=Trunk(linear()), aux=linear(outputs=2)),
    "projection after": lambda: module_of(net=Trunk(linear()), proj=linear(CLASSES, 4)),
    "attention of linears": lambda: module_of(
        net=Trunk(linear()), attn=nn.Sequential(linear(outputs=2), nn.ReLU(), linear(2, FEATURES))
    ),
    "centres alone": lambda: module_of(net=Trunk(), arc=linear(bias=False)),
}


@pytest.mark.parametrize("name", BESIDE)
def test_layers_beside_the_network(name):
    error = refused(BESIDE[name](), "does not say what its head computes")
    assert "--head" in error.mend and "ONNX" in error.mend


def test_one_head_of_several():
    module = BESIDE["unused classifier"]()
    assert '--head "classifier_layer:linear"' in refused(module, "classifier_layer 2×12").mend
    accounted = account(module, head="classifier_layer:linear")
    assert computes(accounted, module.classifier_layer)
    assert "left out, as --head names classifier_layer alone: net.classifier 9×12" in accounted.notes
    assert not accounted.warnings
    module = BESIDE["two heads"]()
    accounted = account(module, head="colour:linear")
    assert computes(accounted, module.colour)
    assert "make 3×12; if the network computes with them" in accounted.warnings[0]


def test_layers_that_follow_the_librarys_classifier():
    module = BESIDE["a layer after"]()
    head = nn.Sequential(module[0].classifier, nn.ReLU(), module[2])
    assert computes(account(module, head="linear,relu,linear"), head)


STRAYS = {
    "adaptor in front": ({"adapt": nn.Conv2d(1, 3, 1)}, "adapt.weight 3×1×1×1"),
    "attention": ({"se": nn.Sequential(nn.Conv2d(FEATURES, 2, 1))}, r"se\.0\.weight 2×12×1×1"),
    "another network": ({"resnet": nn.Sequential(nn.Conv2d(3, 4, 7))}, r"resnet\.0\.weight"),
    "layer norm": ({"norm": nn.LayerNorm(FEATURES)}, "norm.weight 12"),
    "gem": ({"pool": nn.ParameterDict({"p": nn.Parameter(torch.ones(1))})}, "pool.p 1"),
    "temperature": ({"temperature": nn.Parameter(torch.ones(1))}, "temperature 1"),
    "centres of a loss": ({"criterion": nn.Linear(FEATURES, 3, bias=False)}, None),
    "embedding": ({"table": nn.Parameter(torch.ones(2, 3, 4))}, "table 2×3×4"),
    "mean alone": ({"norm": module_of(mean=torch.ones(3))}, "norm.mean 3"),
    "mean of a picture": (
        {"norm": module_of(mean=torch.ones(3, 8, 8), std=torch.ones(3, 8, 8))},
        "norm.mean 3×8×8",
    ),
}


@pytest.mark.parametrize("name", STRAYS)
def test_tensors_beside_the_network_are_refused_by_name(name):
    parts, shown = STRAYS[name]
    error = refused(module_of(net=Trunk(linear()), **parts), shown or "criterion 3×12")
    assert "ONNX" in error.mend and "module:callable" in error.mend
    if shown:
        assert '--prefix "net."' in error.mend
    accounted = account(module_of(net=Trunk(linear()), **parts), prefix="net")
    assert not accounted.strays
    assert accounted.notes[0].startswith("left out, as --prefix says: ")


def test_a_stray_within_the_network():
    trunk = Trunk(linear())
    trunk.eca = nn.Conv1d(1, 1, 3)
    assert "without them" in refused(lively(trunk), r"eca\.weight 1×1×3, eca\.bias 1").mend


ASIDE = {
    "loss weights": ({"criterion": module_of(weight=torch.ones(5))}, "a loss's: criterion.weight"),
    "another loss": ({"bce_loss": module_of(pos_weight=torch.ones(5))}, "a loss's: bce_loss.pos_weight"),
    "class weights": ({"class_weights": torch.ones(5)}, "a loss's class weights: class_weights"),
    "metric": ({"val_acc": module_of(tp=torch.ones(5), fp=torch.ones(5))}, "a metric's: val_acc.tp"),
    "confusion": ({"confmat": torch.ones(5, 5, dtype=torch.int64)}, "a metric's: confmat"),
    "confusion in float": ({"val_confmat": torch.ones(5, 5)}, "a metric's: val_confmat"),
    "profiler": ({"total_ops": torch.zeros(1), "total_params": torch.zeros(1)}, "a profiler's count"),
    "counter": ({"n_averaged": torch.tensor(7)}, None),
    "placeholder": ({"dummy_param": nn.Parameter(torch.empty(0))}, "empty: dummy_param"),
}


@pytest.mark.parametrize("name", ASIDE)
def test_what_no_network_computes_with_is_left_out(name):
    parts, said = ASIDE[name]
    accounted = account(module_of(net=Trunk(linear()), **parts))
    assert not accounted.strays
    assert [text for text in accounted.notes if said and said in text] or said is None


@pytest.mark.parametrize(
    ("mean", "std", "on_pixels"),
    [
        (torch.full((3,), 0.5), torch.full((3,), 0.5), ((127.5,) * 3, (127.5,) * 3)),
        (torch.tensor([[[[0.5]], [[0.25]], [[0.75]]]]), torch.full((1, 3, 1, 1), 0.25), None),
        (torch.full((3, 1, 1), 127.5), torch.full((3, 1, 1), 127.5), ((127.5,) * 3, (127.5,) * 3)),
        (torch.tensor(0.0), torch.tensor(255.0), ((0.0,) * 3, (255.0,) * 3)),
        (torch.tensor([103.0, 116.0, 123.0]), torch.ones(3), ((103.0, 116.0, 123.0), (1.0,) * 3)),
    ],
)
@pytest.mark.parametrize("names", [("mean", "std"), ("pixel_mean", "pixel_std"), ("_mean", "_std")])
def test_normalisation_held_as_buffers(mean, std, on_pixels, names):
    module = nn.Sequential(module_of(), lively(Trunk(linear())))
    for name, value in zip(names, (mean, std), strict=True):
        module[0].register_buffer(name, value)
    accounted = account(module)
    expected = on_pixels or ((127.5, 63.75, 191.25), (63.75,) * 3)
    assert (accounted.preprocess["mean"], accounted.preprocess["std"]) == expected
    assert f"the network's own 0.{names[0]} and {names[1]} are its preprocessing" in accounted.notes
    assert not accounted.strays


@pytest.mark.parametrize(
    ("mean", "std"), [([0.0] * 3, [1.0] * 3), ([0.5] * 3, [127.5] * 3), ([0.5] * 3, [0.0] * 3)]
)
def test_normalisation_on_no_scale_that_is_known(mean, std):
    module = nn.Sequential(module_of(), lively(Trunk(linear())))
    module[0].register_buffer("mean", torch.tensor(mean))
    module[0].register_buffer("std", torch.tensor(std))
    assert "--mean" in refused(module, "0…1 or 0…255").mend


def test_normalising_twice():
    module = nn.Sequential(module_of(), module_of(), lively(Trunk(linear())))
    for part in module[:2]:
        part.register_buffer("mean", torch.full((3,), 0.5))
        part.register_buffer("std", torch.full((3,), 0.5))
    refused(module, "more than once: it holds 0.mean, 1.mean")


@pytest.mark.parametrize(
    "names", [("student", "teacher"), ("model_a", "model_b"), ("branch1", "branch2"), ("schema", "semantic")]
)
def test_two_whole_networks(names):
    module = module_of(**{name: Trunk(linear()) for name in names})
    error = refused(module, f"2 whole networks, under {names[0]}., {names[1]}.")
    assert f'--prefix "{names[0]}."' in error.mend
    accounted = account(module, prefix=f"{names[1]}.")
    assert accounted.prefix == f"{names[1]}."
    assert computes(accounted, getattr(module, names[1]).classifier)


@pytest.mark.parametrize("average", ["model_ema", "ema_model", "averaged", "swa_model", "avg"])
def test_of_copies_the_moving_average(average):
    module = module_of(model=Trunk(linear()), **{average: Trunk(linear())}, teacher=Trunk(linear()))
    accounted = account(module)
    assert accounted.prefix == f"{average}."
    assert computes(accounted, getattr(module, average).classifier)
    assert f"the moving average under {average}. is the network, not its copies beside it" in accounted.notes


def test_average_of_a_wrapper_with_its_head():
    module = module_of(
        model=module_of(backbone=Trunk(), fc=linear()), ema=module_of(backbone=Trunk(), fc=linear())
    )
    accounted = account(module)
    assert accounted.prefix == "ema.backbone."
    assert computes(accounted, module.ema.fc)
    del module.ema.fc  # an average of the backbone alone: the head beside its copy is no twin
    assert "classifier.weight" not in account(module, prefix="ema").head.tensors
    assert account(module).layers == ("model.fc.weight", "model.fc.bias")


def test_one_network_under_two_names():
    """``self.net = self.model``: torch saves each tensor once, under both names."""
    net = lively(Trunk(linear()))
    accounted = account(module_of_same(model=net, net=net))
    assert computes(accounted, net.classifier)
    assert not accounted.warnings
    parts = module_of_same(stem=net.conv_stem, fc=net.classifier, net=net)
    accounted = account(parts)
    assert (accounted.prefix, accounted.layers) == ("net.", ("net.classifier.weight", "net.classifier.bias"))
    assert not accounted.strays and not accounted.warnings
    other = lively(Trunk(linear()))
    other.bn2.weight.data += 1
    refused(module_of_same(model=net, net=other), "2 whole networks")


def module_of_same(**parts):
    module = nn.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    return module


def test_a_prefix_that_nothing_has():
    error = refused(
        module_of(net=Trunk(linear())), "no tensors whose names begin with 'backbone'", prefix="backbone"
    )
    assert "net." in error.mend


OTHERS = {
    "modelopt": ("conv_stem.input_quantizer._amax", "ModelOpt"),
    "torch.ao": ("conv_stem.weight_fake_quant.scale", "torch.ao"),
    "observers": ("activation_post_process.min_val", "torch.ao"),
    "converted": ("conv_stem.zero_point", "quantised already"),
    "gptq": ("classifier.qweight", "quantised already"),
    "brevitas": ("act.fused_activation_quant_proxy.scale", "Brevitas"),
    "bitsandbytes": ("classifier.SCB", "bitsandbytes"),
    "pruned": ("conv_stem.weight_mask", "pruned"),
    "weight norm": ("classifier.weight_g", "reparametrised"),
    "spectral norm": ("classifier.parametrizations.weight.original", "reparametrised"),
    "lora": ("classifier.lora_A.weight", "LoRA"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_than_plain_weights_are_named_for_what_they_are(name):
    key, what = OTHERS[name]
    state = lively(Trunk(linear())).state_dict()
    error = refused(dict(state) | {key: torch.ones(3)}, f"{what}.*holds {re.escape(key)}")
    assert "pass" in error.mend or "save" in error.mend


def test_the_older_spectral_norm_is_not_taken_for_pruning():
    layer = torch.nn.utils.spectral_norm(torch.nn.Linear(6, 4))
    state = lively(Trunk(linear())).state_dict()
    own = {f"projection.{key}": value for key, value in layer.state_dict().items()}
    error = refused(dict(state) | own, "spectral norm.*holds projection.weight_u")
    assert "remove_spectral_norm" in error.mend
