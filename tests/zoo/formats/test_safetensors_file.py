"""safetensors: files, shards and repositories, and indices that lead astray."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import save_file

from edgeeff.errors import CheckpointError
from edgeeff.zoo import formats

PARTS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
TIMM = {
    "architecture": "tf_efficientnet_b0",
    "num_classes": 1000,
    "num_features": 1280,
    "pretrained_cfg": {
        "tag": "in1k", "input_size": [3, 224, 224], "test_input_size": [3, 256, 240], "crop_mode": "center",
        "interpolation": "bicubic", "crop_pct": 0.875, "test_crop_pct": 1.0,
        "mean": MEAN, "std": STD, "num_classes": 1000, "first_conv": "conv_stem", "classifier": "classifier",
    },
}  # fmt: skip


@pytest.fixture
def sharded(state, tmp_path):
    """The state in two shards: the index's path."""
    first, *rest = state
    save_file({first: state[first]}, tmp_path / PARTS[0])
    save_file({key: state[key] for key in rest}, tmp_path / PARTS[1])
    places = {first: PARTS[0]} | dict.fromkeys(rest, PARTS[1])
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return tmp_path / INDEX


def rewritten(index, change):
    content = json.loads(index.read_text())
    change(content["weight_map"])
    index.write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_whatever_the_name(name, state, equal, tmp_path):
    save_file(state, tmp_path / name)
    file = formats.read(tmp_path / name)
    assert equal(file.tensors, state)
    assert (file.labels, file.said, dict(file.preprocess)) == (None, None, {})


def test_shards_by_index_and_by_folder(sharded, state, equal):
    assert equal(formats.read(sharded).tensors, state)
    assert equal(formats.read(sharded.parent).tensors, state)


def test_missing_shard_is_named(sharded):
    sharded.with_name(PARTS[1]).unlink()
    with pytest.raises(CheckpointError, match=f"not there: {PARTS[1]}"):
        formats.read(sharded)


def test_shard_that_git_lfs_did_not_bring(sharded):
    sharded.with_name(PARTS[1]).write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(CheckpointError, match=f"{PARTS[1]} is a Git LFS pointer"):
        formats.read(sharded)


def test_tensor_that_a_shard_lacks_is_named(sharded):
    rewritten(sharded, lambda places: places.update({"head.bias": PARTS[0]}))
    with pytest.raises(CheckpointError, match=rf"{PARTS[0]} lacks tensors .*: head\.bias"):
        formats.read(sharded)


@pytest.mark.parametrize(
    "place",
    ["../w.safetensors", "a/../../w.safetensors", "/etc/passwd", "..", "", "a\\w.safetensors",
     "sub/w.safetensors", "w.pt", "\0.safetensors"],
)  # fmt: skip
def test_shards_elsewhere_are_refused(place, sharded, state):
    save_file(state, sharded.parent.parent / "w.safetensors")
    rewritten(sharded, lambda places: places.update({"stem.weight": place}))
    with pytest.raises(CheckpointError, match="is refused: the shard"):
        formats.read(sharded)


def test_shard_that_is_a_link_outwards_is_refused(sharded, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "w.safetensors"
    shard = sharded.with_name(PARTS[0])
    shard.rename(outside)
    shard.symlink_to(outside)
    with pytest.raises(CheckpointError, match="leads outside the folder"):
        formats.read(sharded)


def test_links_of_the_hubs_cache_are_followed(sharded, state, equal, tmp_path):
    blobs, snapshot = tmp_path / "m" / "blobs", tmp_path / "m" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, name in enumerate((*PARTS, INDEX)):
        (tmp_path / name).rename(blobs / str(number))
        (snapshot / name).symlink_to(f"../../blobs/{number}")
    assert equal(formats.read(snapshot).tensors, state)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', '{"weight_map": {}}', "[" * 9**5],
)  # fmt: skip
def test_damaged_index(content, tmp_path):
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(CheckpointError):
        formats.read(tmp_path / INDEX)


def repository(folder, state, config):
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


def test_timms_repository(state, equal, tmp_path):
    file = formats.read(repository(tmp_path, state, TIMM))
    assert equal(file.tensors, state)
    assert (file.said, file.labels) == ("tf_efficientnet_b0", None)
    assert file.preprocess == {
        "size": (256, 240), "crop": 1.0, "interpolation": "bicubic",
        "mean": pytest.approx((123.675, 116.28, 103.53)), "std": pytest.approx((58.395, 57.12, 57.375)),
        "squash": False,
    }  # fmt: skip


def test_flat_config_with_labels(state, tmp_path):
    config = {"architecture": "efficientnet_b0", "input_size": [3, 224, 224], "label_names": ["ant", "bee"]}
    file = formats.read(repository(tmp_path, state, config) / "model.safetensors")
    assert (file.said, file.labels) == ("efficientnet_b0", ("ant", "bee"))
    assert file.preprocess == {"size": (224, 224)}


def test_other_files_neighbours_say_nothing_of_them(state, tmp_path):
    repository(tmp_path, state, TIMM)
    save_file(state, tmp_path / "mine.safetensors")
    assert formats.read(tmp_path / "mine.safetensors").said is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("mean", [0.5, 0.5]), ("std", [0.2, 0, 0.2]), ("mean", "0.5"), ("mean", [float("nan")] * 3),
     ("crop_pct", 87.5),
     ("input_size", [3, 224]), ("input_size", [3, 1 << 40, 1]), ("input_size", 224), ("std", [True] * 3)],
)  # fmt: skip
def test_impossible_config(key, value, state, tmp_path):
    repository(tmp_path, state, {"architecture": "efficientnet_b0", key: value})
    with pytest.raises(CheckpointError, match=f"config.json: {key} is "):
        formats.read(tmp_path)


@pytest.mark.parametrize("config", ["", "{", "[1]", "[" * 100_000, "\xff"])
def test_config_that_is_no_json_object(config, state, tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json"):
        formats.read(repository(tmp_path, state, config))


def test_transformers_layout_is_told_apart(state, tmp_path):
    repository(tmp_path, state, {"model_type": "efficientnet", "architectures": ["EfficientNetForImage"]})
    with pytest.raises(CheckpointError, match="network of transformers"):
        formats.read(tmp_path)
