"""Keras files that are damaged, absurd or lead outside themselves."""

from __future__ import annotations

import json
import sys
import zipfile

import h5py
import numpy as np
import pytest

from edgeeff.errors import CheckpointError, MissingRuntimeError
from edgeeff.zoo import formats

VARS = "layers/conv2d/vars"


@pytest.fixture
def weights(tmp_path):
    """``weights(change)``: a .weights.h5 of one convolution and one Dense, changed: its path."""

    def make(change=lambda file: None, **options):
        path = tmp_path / "w.weights.h5"
        with h5py.File(path, "w", **options) as file:
            file.create_group(VARS).create_dataset("0", data=np.ones((3, 3, 3, 8), np.float32))
            file.create_group("layers/dense/vars").create_dataset("0", data=np.ones((80, 50), np.float32))
            change(file)
        return path

    return make


def refused(path, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        formats.read(path)
    assert path.name in caught.value.what


def archive_of(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_the_unchanged_file_is_read(weights):
    assert formats.read(weights()).tensors.keys() == {"conv2d/kernel", "predictions/kernel"}


@pytest.mark.parametrize(
    ("link", "kind"),
    [(h5py.ExternalLink("/etc/passwd", "/x"), "ExternalLink"),
     (h5py.ExternalLink("other.h5", "/"), "ExternalLink"),
     (h5py.SoftLink("/layers"), "SoftLink")],
)  # fmt: skip
@pytest.mark.parametrize("place", ["layers/conv2d_1", f"{VARS}/1", "layers/x/y/z"])
def test_links(link, kind, place, weights):
    def change(file):
        file[place] = link

    refused(weights(change), rf"{place} is a link \({kind}\)")


def test_external_storage(weights, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret!!" * 4)

    def change(file):
        file[VARS].create_dataset("1", (8,), np.float32, external=[(str(secret), 0, 32)])

    refused(weights(change), f"the values of {VARS}/1 lie in other files")


def test_virtual_dataset(weights):
    def change(file):
        layout = h5py.VirtualLayout((8,), np.float32)
        layout[:] = h5py.VirtualSource("other.h5", "x", (8,))
        file[VARS].create_virtual_dataset("1", layout)

    refused(weights(change), f"the values of {VARS}/1 lie in other files")


@pytest.mark.parametrize(
    "options", [{"chunks": (1 << 10,)}, {"chunks": (1 << 10,), "compression": "gzip"}, {}]
)
def test_absurd_shape(options, weights):
    def change(file):
        file[VARS].create_dataset("1", (1 << 40,), np.float32, **options)

    refused(weights(change), "claims a shape of 1099511627776, but stores 0 bytes")


def test_values_that_unpack_to_a_thousand_times_their_size(weights):
    def change(file):
        file[VARS].create_dataset("1", data=np.zeros(1 << 22, np.float32), compression="gzip")

    refused(weights(change), "claims a shape of 4194304, but stores")


def test_many_names_of_the_same_values(weights):
    def change(file):
        file["layers/dense_1/vars/0"] = file["layers/dense/vars/0"]

    refused(weights(change), "claims values that are already another's")


def test_groups_in_a_circle(weights):
    def change(file):
        file["layers/conv2d/again"] = file["layers"]

    refused(weights(change), "nested without end")


def test_values_that_are_no_numbers(weights):
    def change(file):
        file[VARS].create_dataset("1", data=["bias"] * 8, dtype=h5py.string_dtype())

    refused(weights(change), f"{VARS}/1 holds no numbers")


@pytest.mark.parametrize("kept", [8, 100, 0.3, 0.9, -1])
def test_truncated(kept, weights):
    path = weights()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if 0 < kept < 1 else kept])
    refused(path, "truncated or corrupt")


@pytest.mark.parametrize("start", range(100, 4000, 300))
def test_overwritten_anywhere(start, weights):
    path = weights()
    content = bytearray(path.read_bytes())
    content[start : start + 64] = b"\xff" * 64
    path.write_bytes(content)
    try:
        formats.read(path)
    except CheckpointError as error:
        assert "w.weights.h5" in error.what


def test_h5_of_something_else(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["photo"] = np.zeros(3)
    refused(tmp_path / "w.h5", "holds no weights of Keras layers")


@pytest.mark.parametrize("lacking", ["group", "dataset"])
def test_list_of_what_is_not_there(lacking, tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names"] = ["stem_conv"]
        if lacking == "dataset":
            file.create_group("stem_conv").attrs["weight_names"] = ["stem_conv/kernel:0"]
    refused(tmp_path / "w.h5", "it lists stem_conv.* and does not hold it")


def test_names_as_keras_2_wrote_them(tmp_path):
    shapes = {
        b"stem_conv_1/kernel:0": (3, 3, 3, 8), b"block1a_dwconv/depthwise_kernel:0": (3, 3, 8, 1),
        b"block1a_bn/gamma:0": (8,), b"model/block1b_bn/gamma:0": (8,),
    }  # fmt: skip
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names0"] = [b"stem_conv"]
        file.attrs["layer_names1"] = [b"block1a_dwconv", b"efficientnetb0"]
        for layer, names in {
            "stem_conv": [b"stem_conv_1/kernel:0"],
            "block1a_dwconv": [b"block1a_dwconv/depthwise_kernel:0"],
            "efficientnetb0": [b"block1a_bn/gamma:0", b"model/block1b_bn/gamma:0"],
        }.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = names
            for name in names:
                group[name.decode()] = np.ones(shapes[name], np.float32)
    file = formats.read(tmp_path / "w.h5")
    assert {name: tuple(value.shape) for name, value in file.tensors.items()} == {
        "stem_conv/kernel": (8, 3, 3, 3), "block1a_dwconv/depthwise_kernel": (8, 1, 3, 3),
        "block1a_bn/gamma": (8,), "block1b_bn/gamma": (8,),
    }  # fmt: skip
    assert file.said == "efficientnetb0"


def test_two_layers_of_one_name(weights):
    def change(file):
        file["layers/conv2d/vars"].attrs["name"] = "same"
        file["layers/functional/layers/conv2d/vars/0"] = np.ones((1, 1, 2, 3), np.float32)
        file["layers/functional/layers/conv2d/vars"].attrs["name"] = "same"

    refused(weights(change), "holds two layers named same")


@pytest.mark.parametrize("member", ["../evil.py", "/etc/evil", "a/../../b", "..\\evil"])
def test_members_outside_the_archive(member, weights, tmp_path):
    members = {"config.json": "{}", "model.weights.h5": weights().read_bytes(), member: b"x"}
    refused(archive_of(tmp_path / "w.keras", members), "would lie outside the archive")


def test_zip_bomb(tmp_path):
    members = {"config.json": "{}", "model.weights.h5": bytes(1 << 24)}
    refused(archive_of(tmp_path / "w.keras", members, zipfile.ZIP_DEFLATED), "would unpack to 16777216 bytes")


@pytest.mark.parametrize("config", [b"", b"{", b"[" * 9**5, b"\xff\xfe"])
def test_damaged_config(config, weights, tmp_path):
    members = {"config.json": config, "model.weights.h5": weights().read_bytes()}
    refused(archive_of(tmp_path / "w.keras", members), "its model config is damaged")


@pytest.mark.parametrize(
    "config",
    [[], 3, {}, {"config": 3}, {"config": {"layers": [1, {"class_name": 2}, {"class_name": "A"}]}}],
)  # fmt: skip
def test_config_of_nothing_known_says_nothing(config, weights, tmp_path):
    members = {"config.json": json.dumps(config), "model.weights.h5": weights().read_bytes()}
    file = formats.read(archive_of(tmp_path / "w.keras", members))
    assert (file.said, file.preprocess) == (None, {})


@pytest.mark.parametrize(
    "rescaling", [{}, {"scale": 0}, {"scale": "x"}, {"scale": [1, 2]}, {"scale": -1}, {"scale": 1e400}]
)
def test_impossible_rescaling(rescaling, weights, tmp_path):
    layers = [{"class_name": "Rescaling", "config": {"name": "rescale", **rescaling}},
              {"class_name": "Conv2D", "config": {"name": "stem_conv"}}]  # fmt: skip
    members = {"config.json": json.dumps({"config": {"name": "net", "layers": layers}}),
               "model.weights.h5": weights().read_bytes()}  # fmt: skip
    refused(archive_of(tmp_path / "w.keras", members), "before the network")


@pytest.mark.parametrize("kept", [0.2, 0.7, -1])
def test_truncated_archive(kept, weights, tmp_path):
    members = {"config.json": "{}", "model.weights.h5": weights().read_bytes()}
    path = archive_of(tmp_path / "w.keras", members)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if kept > 0 else kept])
    refused(path, "truncated or corrupt")


def test_archive_in_shards(tmp_path):
    members = {"config.json": "{}", "model.weights.json": "{}", "model_00000.weights.h5": b""}
    refused(archive_of(tmp_path / "w.keras", members), r"holds no model\.weights\.h5")


def test_without_h5py(weights, monkeypatch):
    path = weights()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingRuntimeError) as caught:
        formats.read(path)
    assert caught.value.mend == "pip install h5py"


@pytest.mark.parametrize(
    "change",
    [
        {"inbound_nodes": [[["nowhere", 0, 0, {}]]]},
        {"inbound_nodes": [[["x", 0, 9, {}]]]},
        {"inbound_nodes": [{"args": 3, "kwargs": {}}]},
        {"inbound_nodes": [{"args": [{"class_name": "__keras_tensor__", "config": 1}], "kwargs": {}}]},
        {"inbound_nodes": [[["stem_conv", 0, 0, {}]]]},
    ],
)
def test_connections_that_lead_nowhere(change, weights, tmp_path):
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 8, 8, 3]}},
        {"class_name": "Conv2D", "config": {"name": "stem_conv"}} | change,
    ]
    config = {"class_name": "Functional", "config": {
        "name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["stem_conv", 0, 0]],
    }}  # fmt: skip
    members = {"config.json": json.dumps(config), "model.weights.h5": weights().read_bytes()}
    refused(archive_of(tmp_path / "w.keras", members), "its model config is damaged")
