"""Checkpoints as people have them load; what should not be loaded is refused and explained."""

from __future__ import annotations

import argparse
import dataclasses
import os
import pickle
import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from edgeeff.errors import CheckpointError, MissingFileError
from edgeeff.zoo import catalog, checkpoint_options, checkpoints, efficientnet, namings

LITE0, SIZE = catalog.get("lite0"), (32, 32)


@pytest.fixture(scope="module")
def state():
    """A whole Lite0 of 5 classes, in our naming."""
    torch.manual_seed(1)
    return {key: value.clone() for key, value in efficientnet.build(LITE0, 5, SIZE).state_dict().items()}


def load(path, **options):
    return checkpoints.read(path, "lite0", checkpoint_options.read(**options))


def same_network(checkpoint, state, size=SIZE):
    held = checkpoint.network(size).state_dict()
    return held.keys() == state.keys() and all(torch.equal(held[key], state[key]) for key in state)


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


WRAPPINGS = {
    "plain": lambda s: s,
    "ordered": OrderedDict,
    "state_dict": lambda s: {"epoch": 3, "state_dict": s},
    "model": lambda s: {"model": s, "optimizer": {"lr": 0.1, "momentum": torch.zeros(3)}},
    "model_state_dict": lambda s: {"model_state_dict": s},
    "ema": lambda s: {"state_dict_ema": s, "state_dict": {k: v * 2 for k, v in s.items()}},
    "decay": lambda s: {"ema": {"decay": 0.99}, "state_dict": s},
    "twice": lambda s: {"checkpoint": 1, "model": {"state_dict": s}},
    "module.": lambda s: prefixed(s, "module."),
    "model.": lambda s: {"state_dict": prefixed(s, "model.") | {"criterion.weight": torch.ones(5)}},
    "model.module.": lambda s: prefixed(s, "model.module."),
    "compiled": lambda s: prefixed(s, "_orig_mod."),
    "two copies": lambda s: prefixed({k: v * 2 for k, v in s.items()}, "model.") | prefixed(s, "model_ema."),
    "command line": lambda s: {"model": s, "args": argparse.Namespace(lr=0.1, output="runs")},
    "no counters": lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrapped_and_prefixed(wrapping, state, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(WRAPPINGS[wrapping](state), path)
    loaded = load(path)
    assert same_network(loaded, state)
    assert (loaded.classes, loaded.labels, loaded.naming) == (5, None, "ours")


def test_legacy_torch_file(state, tmp_path):
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert same_network(load(tmp_path / "old.pt"), state)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_safetensors_whatever_the_name(name, state, tmp_path):
    save_file(state, tmp_path / name)
    assert same_network(load(tmp_path / name), state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype, state, tmp_path):
    torch.save({k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}, tmp_path / "w.pt")
    weight = load(tmp_path / "w.pt").network(SIZE).state_dict()["stem.conv.weight"]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, state["stem.conv.weight"].to(dtype).float())


@pytest.mark.parametrize("key", ["classes", "labels", "class_names"])
def test_labels_come_along(key, state, tmp_path):
    torch.save({"state_dict": state, key: ["ant", "bee", "cat", "dog", "eel"]}, tmp_path / "w.pt")
    assert load(tmp_path / "w.pt").labels == ("ant", "bee", "cat", "dog", "eel")


def test_number_of_classes_is_no_list_of_labels(state, tmp_path):
    torch.save({"state_dict": state, "classes": 5}, tmp_path / "w.pt")
    assert load(tmp_path / "w.pt").labels is None


def test_padding_follows_the_size_and_weights_do_not(state, tmp_path):
    torch.save(state, tmp_path / "w.pt")
    checkpoint = load(tmp_path / "w.pt")
    assert same_network(checkpoint, state, (32, 32))
    assert same_network(checkpoint, state, (75, 50))
    assert checkpoint.network((75, 50))(torch.zeros(1, 3, 75, 50)).shape == (1, 5)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_never_runs(zipped, state, tmp_path):
    path, marker = tmp_path / "trap.pt", tmp_path / "ran"
    content = {"state_dict": state, "extra": Trap(marker)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        CheckpointError, match=r"holds (posix|nt)\.system, and loading that would execute code"
    ) as caught:
        load(path)
    assert not marker.exists()
    assert "state_dict alone" in caught.value.mend


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_bare_pickle_never_runs(protocol, tmp_path):
    path, marker = tmp_path / "trap.pt", tmp_path / "ran"
    bait = pickle.dumps(Trap(marker), protocol)
    path.write_bytes(bait)
    with pytest.raises(CheckpointError, match=r"is refused: .* execute code"):
        load(path)
    assert not marker.exists()
    pickle.loads(bait)
    assert marker.exists()  # the trap was a real one


def test_text_pickle_is_no_checkpoint(tmp_path):
    path, marker = tmp_path / "trap.pt", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Trap(marker), protocol=0))
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        load(path)
    assert not marker.exists()


def test_whole_pickled_module_is_refused(tmp_path):
    torch.save(efficientnet.build(LITE0, 5, SIZE), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"edgeeff\.zoo\.efficientnet\.EfficientNet"):
        load(tmp_path / "w.pt")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="TorchScript archive"):
        load(tmp_path / "w.pt")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("kept", [0.001, 0.5, 0.99, -1])
def test_truncated(kind, kept, state, tmp_path):
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if kept > 0 else kept])
    with pytest.raises(CheckpointError, match="truncated or corrupt"):
        load(path)


def test_flipped_bits_are_noticed(state, tmp_path):
    torch.save(state, tmp_path / "w.pt")
    content = bytearray((tmp_path / "w.pt").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="corrupt"):
        load(tmp_path / "w.pt")


@pytest.mark.parametrize(
    "junk", [b"\x80", b"\x80\x02", b"\x80\x02}q\x00X\xff\xff\xff", b"PK\x03\x04", b"\x80\x04." * 9]
)
def test_junk_that_begins_like_a_checkpoint(junk, tmp_path):
    (tmp_path / "w.pt").write_bytes(junk)
    with pytest.raises(CheckpointError):
        load(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "is no checkpoint"),
        (b"\x08\x07\x12\x07pytorch", "is no checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
    ],
)
def test_not_a_checkpoint_at_all(content, message, tmp_path):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "w.pt")


def test_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("photo.txt", "no weights")
    with pytest.raises(CheckpointError, match="no torch checkpoint"):
        load(tmp_path / "w.pt")


@pytest.mark.parametrize(
    "content", [{}, {"epoch": 3}, [1, 2], torch.zeros(3), {"model": {}}, {1: torch.zeros(3)}]
)
def test_nothing_like_a_state_dict(content, tmp_path):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="holds no state_dict"):
        load(tmp_path / "w.pt")


def test_dict_that_holds_itself(tmp_path):
    content: dict[str, object] = {}
    content["model"] = content
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="holds no state_dict"):
        load(tmp_path / "w.pt")


def test_another_network_altogether(tmp_path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="its tensors are weight, bias") as caught:
        load(tmp_path / "w.pt")
    assert "efficientnet_pytorch" in caught.value.mend


@pytest.mark.parametrize(
    ("file_of", "asked"), [("b0", "lite0"), ("lite0", "b0"), ("lite2", "lite0"), ("b1", "b0")]
)
def test_another_variant_is_named(file_of, asked, oracle, tmp_path):
    torch.save(oracle(file_of).state_dict(), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=f"is not a checkpoint of {asked}: ") as caught:
        checkpoints.read(tmp_path / "w.pt", asked)
    assert caught.value.mend == f"all tensors fit {file_of}: pass --model {file_of}"


def test_differing_tensors_are_named(state, tmp_path):
    state = dict(state)
    del state["blocks.3.project.norm.bias"]
    state["blocks.99.expand.conv.weight"] = torch.zeros(1)
    state["stem.conv.weight"] = torch.zeros(32, 5, 3, 3)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path / "w.pt")
    assert "1 missing (blocks.3.project.norm.bias)" in caught.value.what
    assert "1 unexpected (blocks.99.expand.conv.weight)" in caught.value.what
    assert "1 of another shape (stem.conv.weight 32×5×3×3 instead of 32×3×3×3)" in caught.value.what


def test_features_without_a_classifier(state, tmp_path):
    torch.save({k: v for k, v in state.items() if "classifier" not in k}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"2 missing \(classifier.weight, classifier.bias\)"):
        load(tmp_path / "w.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(value, state, tmp_path):
    state = {key: tensor.clone() for key, tensor in state.items()}
    state["blocks.2.depthwise.conv.weight"][3, 0, 1, 1] = value
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"blocks\.2\.depthwise\.conv\.weight holds NaN or infinite"):
        load(tmp_path / "w.pt")


def test_negative_variance(state, tmp_path):
    torch.save(state | {"stem.norm.running_var": -torch.ones(32)}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"stem\.norm\.running_var holds negative variances"):
        load(tmp_path / "w.pt")


def test_integer_weights(state, tmp_path):
    torch.save(state | {"head.conv.weight": state["head.conv.weight"].to(torch.int8)}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"head\.conv\.weight is int8"):
        load(tmp_path / "w.pt")


def test_labels_that_do_not_fit_the_classifier(state, tmp_path):
    torch.save({"state_dict": state, "classes": ["ant", "bee"]}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="names 2 classes, but its classifier has 5 outputs"):
        load(tmp_path / "w.pt")


def test_what_the_file_says_against_its_tensors(state, tmp_path):
    torch.save(
        {"state_dict": state, "arch": "efficientnet_lite2", "num_classes": 7, "size": 96}, tmp_path / "w.pt"
    )
    origin = load(tmp_path / "w.pt").origin
    assert origin.warnings == (
        "the file says num_classes is 7, and its classifier has 5 outputs",
        "the file says efficientnet_lite2, and its tensors are those of lite0",
    )
    assert (origin.preprocess.size, origin.said) == ((96, 96), ("size",))


def test_preprocessing_that_does_not_fit_the_network(state, tmp_path):
    torch.save({"state_dict": state, "mean": [0.5] * 4, "std": [0.25] * 4}, tmp_path / "w.pt")
    mean, std = load(tmp_path / "w.pt").origin.warnings
    assert mean.startswith("the file says mean (127.5, 127.5, 127.5, 127.5), which does not fit")
    assert std.endswith("it is not taken (--std)")


def test_normalisation_within_the_network(state, tmp_path):
    buffers = {"0.mean": torch.full((1, 3, 1, 1), 0.25), "0.std": torch.full((1, 3, 1, 1), 0.5)}
    content = {"state_dict": buffers | prefixed(state, "1."), "mean": [0.5] * 3, "std": [0.5] * 3}
    torch.save(content, tmp_path / "w.pt")
    origin = load(tmp_path / "w.pt").origin
    assert origin.preprocess.mean == (63.75,) * 3
    assert "the buffers are taken" in origin.warnings[0]
    del content["mean"], content["std"]
    torch.save(content, tmp_path / "w.pt")
    assert not load(tmp_path / "w.pt").origin.warnings


def test_parts_of_a_checkpoint(state, tmp_path):
    """A trunk and a head in two state_dicts; a metric loss's classifier beside; another network."""
    trunk = {key: value for key, value in state.items() if "classifier" not in key}
    head = {"weight": torch.ones(3, 1280), "bias": torch.zeros(3)}
    torch.save({"backbone": trunk, "head": head}, tmp_path / "w.pt")
    assert load(tmp_path / "w.pt").classes == 3
    torch.save({"model": state, "metric_fc": {"weight": torch.ones(9, 5)}}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="metric_fc 9×5"):
        load(tmp_path / "w.pt")
    assert load(tmp_path / "w.pt", prefix="model").classes == 5
    torch.save({"student": state, "teacher": {k: v.clone() for k, v in state.items()}}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"2 whole networks, under student\., teacher\."):
        load(tmp_path / "w.pt")


def test_no_such_file(tmp_path):
    with pytest.raises(MissingFileError, match="No such file"):
        load(tmp_path / "absent.pt")


def test_weights_that_no_wheel_carries():
    with pytest.raises(MissingFileError) as caught:
        checkpoints.read(None, "b0")
    assert "--checkpoint" in caught.value.mend


def test_wheel_that_is_not_installed():
    spec = dataclasses.replace(catalog.get("lite2"), weights_package="efficientnet_lite9_pytorch_model")
    with pytest.raises(MissingFileError) as caught:
        checkpoints.wheel(spec)
    assert "pip install efficientnet-lite9-pytorch-model" in caught.value.mend


@pytest.mark.parametrize("name", ["b0", "lite0", "edgetpu-s", "v2-b0", "v2-rw-t"])
def test_network_is_found_by_its_tensors(name, make_module, tmp_path):
    torch.save(make_module(name, size=32).state_dict(), tmp_path / "w.pt")
    checkpoint = checkpoints.read(tmp_path / "w.pt")
    assert (checkpoint.spec.name, checkpoint.naming, checkpoint.classes) == (name, "ours", 10)


def test_tensors_that_fit_no_network_are_held_against_the_nearest(make_module, tmp_path):
    state = make_module("b1", size=32).state_dict()
    del state["blocks.7.squeeze.reduce.bias"]
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"nearest is b1: 1 missing \(blocks.7.squeeze.reduce.bias\)"):
        checkpoints.read(tmp_path / "w.pt")


def replaced(state, head):
    body = {key: value for key, value in state.items() if not key.startswith("classifier")}
    return body | {f"classifier.{key}": value for key, value in head.state_dict().items()}


def test_replaced_head(state, tmp_path):
    torch.manual_seed(2)
    head = torch.nn.Sequential(
        torch.nn.Dropout(0.2), torch.nn.Linear(1280, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)
    ).eval()
    torch.save(replaced(state, head), tmp_path / "w.pt")
    checkpoint = load(tmp_path / "w.pt", head="linear,tanh,linear")
    network = checkpoint.network(SIZE)
    assert checkpoint.classes == 3
    assert checkpoint.origin.notes == ("the head is classifier.1 → tanh → classifier.3, as --head says",)
    x = torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        features = network.pool(network.head(network.blocks(network.stem(x)))).flatten(1)
        torch.testing.assert_close(network(x), head(features), rtol=1e-4, atol=1e-5)


def test_head_that_does_not_follow(state, tmp_path):
    head = torch.nn.Sequential(torch.nn.Linear(1000, 16), torch.nn.Linear(16, 3))
    torch.save(replaced(state, head), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"classifier\.weight 3×1000 instead of 3×1280"):
        load(tmp_path / "w.pt")
    head = torch.nn.Sequential(torch.nn.Linear(1280, 16), torch.nn.Linear(8, 3))
    torch.save(replaced(state, head), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="reads 8 features where the layer before gives 16"):
        load(tmp_path / "w.pt")


def test_namings_are_found_by_listing_the_folder():
    assert {"ours", "efficientnet_pytorch"} <= set(namings.names())


@pytest.mark.parametrize(
    ("arch", "stem", "model", "taken", "warned"),
    [
        ("lite0-hardswish", "best", None, "lite0-hardswish", False),
        ("lite0-hardswish", "best", "lite0-hardswish", "lite0-hardswish", False),
        ("efficientnet_lite0", "best", "lite0-hardswish", "lite0-hardswish", False),
        ("efficientnet_lite0", "lite0-hardswish", None, "lite0", True),
        (None, "lite0-hardswish", "lite0-hardswish", "lite0-hardswish", False),
    ],
)
def test_another_activation(arch, stem, model, taken, warned, state, tmp_path):
    path = tmp_path / f"{stem}.pt"
    torch.save({"state_dict": state} | ({"arch": arch} if arch else {}), path)
    found = checkpoints.read(path, model)
    assert found.spec.name == taken
    assert found.origin.preprocess == LITE0.preprocess()
    called = [text for text in found.origin.warnings if "called after hardswish" in text]
    assert found.origin.warnings == tuple(called) and bool(called) is warned
    network = found.network(SIZE)
    assert network.stem.activation is efficientnet.ACTIVATIONS[catalog.get(taken).activation]


def test_another_activation_than_the_file_says(state, tmp_path):
    torch.save({"state_dict": state, "arch": "lite0-hardswish"}, tmp_path / "best.pt")
    with pytest.raises(
        CheckpointError, match="is a checkpoint of lite0-hardswish, and --model lite0 has"
    ) as e:
        load(tmp_path / "best.pt")
    assert "leave --model out" in e.value.mend
