"""Whatever a network comes as, the graph that is built from it computes what the network computes."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgeeff.errors import CheckpointError, EdgeeffError, GraphError, MissingFileError, OptionError
from edgeeff.graph import execute
from edgeeff.pipeline.resolve.preprocessing import refuse_second_normalisation
from edgeeff.progress import Silent
from edgeeff.zoo import catalog, efficientnet, sources
from edgeeff.zoo.conventions import TORCH
from edgeeff.zoo.sources import Asked, Identity

SIZE = (64, 64)
SMALL = catalog.scaled("lite:width=0.25,depth=0.2,size=64")


@pytest.fixture(scope="module")
def network(make_module):
    return make_module("lite0", size=SIZE[0])


def identified(asked):
    kind, source = sources.locate(asked, Silent())
    return sources.room(kind).identify(asked, source)


def logits(asked, x, size=SIZE):
    identity = identified(asked)
    graph = sources.room(identity.kind).graph(asked, identity, size)
    return execute.execute(execute.prepare(graph), x)


def photos(count=2):
    return torch.from_numpy(np.random.default_rng(3).standard_normal((count, 3, *SIZE), np.float32))


def same(found, expected, tolerance=1e-4):
    return float((found - expected).abs().max() / expected.abs().max()) <= tolerance


@pytest.fixture(scope="module")
def tiny(make_module):
    """A few blocks of a few channels, for what needs no network of the catalog."""
    return make_module(SMALL, size=SIZE[0])


def export(module, path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 3, *SIZE),), path, dynamo=False, **options)


def traced(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(module, torch.zeros(1, 3, *SIZE)).save(path)


def test_checkpoint(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "w.pt")
    asked = Asked(str(tmp_path / "w.pt"))
    identity = identified(asked)
    assert (identity.kind, identity.model, identity.classes) == ("tensors", "lite0", 10)
    with torch.no_grad():
        assert same(logits(asked, photos()), network(photos()))


def test_onnx(network, tmp_path):
    export(network, tmp_path / "camera 3.onnx", opset_version=13)
    asked = Asked(str(tmp_path / "camera 3.onnx"))
    identity = identified(asked)
    assert (identity.kind, identity.model, identity.classes) == ("onnx_file", "camera-3", 10)
    (warning,) = identity.warnings
    assert "ImageNet's mean and std are taken" in warning and "--model" in warning
    with torch.no_grad():
        assert same(logits(asked, photos()), network(photos()))


@pytest.mark.parametrize(
    ("changed", "refused"),
    [({"mean": (0.0,)}, True), ({"std": (58.4, 57.1, 57.4)}, True), ({"mean": (127.5,) * 3}, False)],
)
def test_a_graphs_own_normalisation_is_not_replaced(tiny, tmp_path, changed, refused):
    """Who says how his file is fed, on top of what it does itself, would get another network."""

    class Normalised(nn.Module):
        def forward(self, x):
            return tiny(x * 2 - 1)

    module = Normalised()
    module.network = tiny
    export(module.eval(), tmp_path / "net.onnx")
    identity = identified(Asked(str(tmp_path / "net.onnx")))
    assert (identity.preprocess.mean, identity.said) == ((127.5,) * 3, ("mean", "std"))
    reason = pytest.raises(OptionError, match="normalises its input itself") if refused else nullcontext()
    with reason:
        refuse_second_normalisation(identity, changed)


def test_model_says_whose_preprocessing_an_onnx_file_has(network, tmp_path):
    export(network, tmp_path / "net.onnx")
    identity = identified(Asked(str(tmp_path / "net.onnx"), model="lite0"))
    assert (identity.model, identity.preprocess.mean, identity.warnings) == ("lite0", (127.0,) * 3, ())
    assert identity.preprocess.size == SIZE


def test_torchscript_is_refused_without_trust_and_taken_with_it(tiny, tmp_path):
    traced(tiny, tmp_path / "net.pt")
    source = str(tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match="TorchScript") as caught:
        identified(Asked(source, size=SIZE))
    assert "--trust-checkpoint" in caught.value.mend
    asked = Asked(source, size=SIZE, trust=True)
    identity = identified(asked)
    assert (identity.kind, identity.model, identity.classes) == ("program", "net", 10)
    with torch.no_grad():
        assert same(logits(asked, photos()), tiny(photos()))
    with pytest.raises(OptionError, match="no output of it is 8"):  # a classifier returns its logits alone
        identified(replace(asked, taps=("8", "embedding")))


def test_exported_program(tiny, tmp_path):
    torch.export.save(torch.export.export(tiny, (torch.zeros(1, 3, *SIZE),)), tmp_path / "net.pt2")
    asked = Asked(str(tmp_path / "net.pt2"), size=SIZE, trust=True)
    assert identified(asked).kind == "program"
    with torch.no_grad():
        assert same(logits(asked, photos()), tiny(photos()))


CALLABLE = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.fc = nn.Linear(8, 4)
    def forward(self, x):
        return self.fc(self.conv(x / 255 - 0.5).mean((2, 3)))

def small():
    torch.manual_seed(0)
    return Small().eval()

class Branchy(Small):
    def forward(self, x):
        return super().forward(x) * (-1 if x.mean() > 1 else 1)

def branchy():
    return Branchy().eval()

def features():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())

def crash():
    raise RuntimeError("no GPU here")
"""


@pytest.fixture
def module_name(tmp_path, monkeypatch):
    (tmp_path / "cameranets.py").write_text(CALLABLE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "cameranets"
    sys.modules.pop("cameranets", None)


def test_callable(module_name):
    asked = Asked(f"{module_name}:small", size=SIZE, trust=True)
    identity = identified(asked)
    assert (identity.model, identity.classes) == ("small", 4)
    assert identity.preprocess.mean == pytest.approx((127.5,) * 3, rel=1e-6)  # it stood in the network
    pixels = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
    import cameranets

    with torch.no_grad():
        expected = cameranets.small()(torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32)))
        found = logits(asked, torch.from_numpy(identity.preprocess.normalise(pixels)))
    assert same(found, expected)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("crash", "RuntimeError: no GPU here"),
        ("features", r"\(1, 8, 62, 62\) for one image, not logits"),
        ("absent", "absent"),
    ],
)
def test_callables_that_are_no_classifier(name, complaint, module_name):
    with pytest.raises((CheckpointError, GraphError), match=complaint):
        identified(Asked(f"{module_name}:{name}", size=SIZE, trust=True))


def test_callable_that_branches_on_values_is_found_out(module_name):
    """Tracing follows one branch alone: the graph is held against the network itself."""
    with pytest.raises(GraphError, match="computes something else"):
        logits(Asked(f"{module_name}:branchy", size=SIZE, trust=True), photos())


def test_callable_is_not_imported_without_trust(tmp_path, monkeypatch):
    (tmp_path / "bait.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef net(): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CheckpointError, match="Python code"):
        identified(Asked("bait:net", size=SIZE))
    assert not (tmp_path / "ran").exists()


class Ended(torch.nn.Module):
    """A network with an end of its own."""

    def __init__(self, network, end):
        super().__init__()
        self.network, self.end = network, end

    def forward(self, x):
        z = self.network(x)
        match self.end:
            case "sigmoid":
                return z.sigmoid()
            case "softmax":
                return z.softmax(1)
            case "log_softmax":
                return z.log_softmax(1)
            case "squeezed":
                return z.squeeze(1).sigmoid()
            case "scalar":
                return z.squeeze()
            case "choice":
                return z.argmax(1)
            case _:
                return torch.nn.functional.normalize(z)


@pytest.mark.parametrize("end", ["sigmoid", "softmax", "log_softmax", "squeezed", "scalar"])
def test_programs_that_end_in_probabilities(end, make_module, tmp_path):
    """What they make of the logits is cut off and known; one logit often has no axis of classes."""
    classes = 1 if end in ("squeezed", "scalar") else 10
    network = make_module(SMALL, classes=classes, size=SIZE[0])
    traced(Ended(network, end).eval(), tmp_path / "net.pt")
    asked = Asked(str(tmp_path / "net.pt"), size=SIZE, trust=True)
    identity = identified(asked)
    assert identity.classes == classes
    assert identity.ends_in == {"squeezed": "sigmoid", "scalar": ""}.get(end, end)
    assert bool(identity.notes) == (end != "scalar")
    x = photos()
    with torch.no_grad():
        assert same(logits(asked, x), network(x))


@pytest.mark.parametrize(("end", "message"), [("choice", "not logits"), ("length", "length of a vector")])
def test_programs_that_end_in_no_logits_are_refused(end, message, tiny, tmp_path):
    traced(Ended(tiny, end).eval(), tmp_path / "net.pt")
    with pytest.raises(GraphError, match=message):
        identified(Asked(str(tmp_path / "net.pt"), size=SIZE, trust=True))


def test_repository_of_the_hub_on_disk(make_module, tmp_path):
    """timm's layout: the variant, the conventions and the preprocessing are its config's."""
    folder = tmp_path / "anything"
    folder.mkdir()
    spec = catalog.get("b0")
    network = make_module("b0", size=SIZE[0])
    save_file(as_timm(network.state_dict(), spec), folder / "model.safetensors")
    config = {
        "architecture": "efficientnet_b0",
        "pretrained_cfg": {
            "input_size": [3, 224, 224],
            "test_input_size": [3, 256, 256],
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    asked = Asked(str(folder))
    identity = identified(asked)
    assert identity.conventions == TORCH
    assert "efficientnet_b0" in identity.origin and "tf_" not in identity.origin
    preprocess = identity.preprocess
    assert (preprocess.size, preprocess.crop, preprocess.interpolation) == ((256, 256), 1.0, "bilinear")
    assert preprocess.mean == (127.5,) * 3 and preprocess.std == (63.75,) * 3
    assert identity.assumed == ()
    theirs = efficientnet.trained(spec, network.state_dict(), SIZE, TORCH)
    with torch.no_grad():
        found = logits(asked, photos())
        # Not at home in these conventions the network makes much of rounding, and more of the other padding.
        assert same(found, theirs(photos()), 5e-3)
        assert not same(found, network(photos()), 5e-2)


def as_timm(state, spec):
    """A state_dict by timm's names: the inverse of the naming, found by asking it."""
    from edgeeff.zoo.namings import timm

    candidates = [
        f"{end}.{part}" for end in ("conv_stem", "bn1", "conv_head", "bn2", "classifier") for part in PARTS
    ]
    for stage, blocks in enumerate(spec.architecture.stages):
        for place in range(len(blocks)):
            for layer in (
                "conv_pw",
                "conv_dw",
                "conv_pwl",
                "bn1",
                "bn2",
                "bn3",
                "se.conv_reduce",
                "se.conv_expand",
            ):
                candidates += [f"blocks.{stage}.{place}.{layer}.{part}" for part in PARTS]
    theirs = {timm.translate(key, spec.architecture): key for key in candidates}
    return {theirs[name]: value for name, value in state.items() if not name.endswith("tracked")}


PARTS = ("weight", "bias", "running_mean", "running_var")


def test_user_overrides_the_conventions(make_module, tmp_path):
    save_file(make_module("b0", size=32).state_dict(), tmp_path / "w.safetensors")
    identity = identified(Asked(str(tmp_path / "w.safetensors"), padding="symmetric", epsilon=1e-5))
    assert identity.conventions == TORCH


def test_identity_survives_the_cache(network, tmp_path):
    torch.save({"model": network.state_dict(), "classes": list("abcdefghij")}, tmp_path / "w.pt")
    identity = identified(Asked(str(tmp_path / "w.pt")))
    assert Identity.from_json(identity.to_json()) == identity
    assert identity.labels == tuple("abcdefghij")


def test_digest_is_that_of_the_content(network, tmp_path):
    def digest(path):
        kind, source = sources.locate(Asked(str(path)), Silent())
        return sources.room(kind).digest(Asked(str(path)), source)

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_file(network.state_dict(), tmp_path / name / "model.safetensors")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    (tmp_path / "b" / "config.json").write_text("{}")
    assert digest(tmp_path / "a") != digest(tmp_path / "b")
    export(network, tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_bytes((tmp_path / "a.onnx").read_bytes())
    assert digest(tmp_path / "a.onnx") == digest(tmp_path / "b.onnx")


@pytest.mark.parametrize("option", ["prefix", "head", "padding", "epsilon"])
def test_what_a_graph_says_itself_is_no_option(option, tmp_path):
    """Each would be left out without a word."""
    (tmp_path / "net.onnx").write_bytes(b"read by nobody")
    value = {"prefix": "model.", "head": "linear", "padding": "same", "epsilon": 1e-3}[option]
    name = {"epsilon": "--bn-epsilon"}.get(option, f"--{option}")
    with pytest.raises(OptionError, match=f"{name} for .*net.onnx, which says itself"):
        sources.locate(Asked(str(tmp_path / "net.onnx"), **{option: value}), Silent())


@pytest.mark.parametrize("source", ["absent.pt", "absent.onnx", "absent/", "no such:thing at all"])
def test_nothing_there(source, tmp_path):
    with pytest.raises(MissingFileError, match="does not exist"):
        identified(Asked(str(tmp_path / source)))


def test_every_kind_of_source_is_claimed_by_one_room(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "w.pt")
    assert set(sources.kinds()) == {"onnx_file", "program", "tensors"}
    with pytest.raises(EdgeeffError):
        identified(Asked(str(tmp_path)))  # a folder, but of nothing


def test_a_network_that_the_program_holds(module_name):
    """The graph is that of the callable which makes it; the network is left as it was, and needs no trust."""
    import cameranets

    network = cameranets.small().double().eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    held = Asked("Net", size=SIZE, module=network)
    kind, place = sources.locate(held, Silent())
    assert (kind, place) == ("program", "Net")
    called = Asked(f"{module_name}:small", size=SIZE, trust=True)
    room = sources.room("program")
    assert room.digest(held, place) == room.digest(called, called.source)
    assert identified(held).classes == 4
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == before[name].dtype and torch.equal(tensor, before[name])
    with pytest.raises(CheckpointError, match=r"training mode"):
        identified(replace(held, module=network.train()))
