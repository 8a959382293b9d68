"""Weights from a hub on this machine: downloaded, resumed, verified, cached, brought by hand."""

from __future__ import annotations

import hashlib
import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import safetensors.torch
import torch
from huggingface_hub import constants, hf_hub_download

from edgeeff.errors import CheckpointError, MissingFileError
from edgeeff.progress import Silent
from edgeeff.zoo import formats
from edgeeff.zoo import hub as weights_hub
from edgeeff.zoo.hub import fetch

NAME = "timm/tf_efficientnet_b3.aa_in1k"
WEIGHTS = random.Random(0).randbytes(300_000)
CONFIG = b'{"architecture": "tf_efficientnet_b3"}'
INDEX = "model.safetensors.index.json"


@pytest.fixture
def timm(hub):
    """The hub, with a repository as timm's are."""
    hub.repositories[NAME] = {
        "model.safetensors": WEIGHTS,
        "config.json": CONFIG,
        "pytorch_model.bin": b"a pickle",
        "README.md": b"# a card",
    }
    return hub


def sharded(index: object) -> dict[str, bytes]:
    return {
        INDEX: json.dumps(index).encode(),
        "model-1-of-2.safetensors": WEIGHTS[:100_000],
        "model-2-of-2.safetensors": WEIGHTS[100_000:],
        "config.json": CONFIG,
    }


WHOLE = {
    "weight_map": {
        "a": "model-1-of-2.safetensors",
        "b": "model-2-of-2.safetensors",
        "c": "model-1-of-2.safetensors",
    }
}


def test_a_download_and_then_no_network(timm, told, capfd):
    folder = fetch(NAME, told)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (folder / "config.json").read_bytes() == CONFIG
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert sorted(timm.fetched()) == ["config.json", "model.safetensors"]
    (stage,) = told.stages
    assert NAME in stage[0] and stage[1] == sum(told.done) == len(WEIGHTS)
    assert capfd.readouterr() == ("", "")  # the library draws no bars of its own

    timm.stop()
    asked = len(timm.requests)
    assert fetch(f"hf-hub:{NAME}", told) == folder
    assert len(timm.requests) == asked and len(told.stages) == 1


def test_the_library_finds_what_was_downloaded(timm, tmp_path):
    folder = fetch(NAME, Silent())
    for file in ("model.safetensors", "config.json"):
        assert hf_hub_download(NAME, file, local_files_only=True) == str(folder / file)
    assert not list((tmp_path / "hf").rglob("*.incomplete"))


def test_what_the_library_downloaded_is_found(timm):
    for file in ("model.safetensors", "config.json"):
        path = hf_hub_download(NAME, file)
    timm.stop()
    assert str(fetch(NAME, Silent())) == path.rpartition("/")[0]


def test_a_revision(timm, told):
    commit = timm.commit(NAME)
    first = fetch(f"{NAME}@v1", told)
    assert first.name == commit
    # The same blobs under another name: nothing is downloaded twice.
    before = timm.ranges_asked()
    assert fetch(NAME, told) == fetch(f"{NAME}@{commit}", told) == first
    assert timm.ranges_asked() == before


def test_a_connection_cut_once(timm, told):
    timm.cut = [120_000]
    folder = fetch(NAME, told)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert timm.ranges_asked() == [None, "bytes=120000-"]
    assert sum(told.done) == len(WEIGHTS)


def test_a_connection_cut_again_and_again(timm, told):
    timm.cut = [100_000, *[0] * 100]
    with pytest.raises(MissingFileError, match="the connection broke") as cut:
        fetch(NAME, told)
    assert "try again" in cut.value.mend
    assert set(timm.ranges_asked()) == {None, "bytes=100000-"}
    assert not list(Path(constants.HF_HUB_CACHE).rglob("*.incomplete"))
    timm.cut.clear()
    assert (fetch(NAME, Silent()) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_server_that_grants_no_ranges_sends_it_anew(timm, told):
    timm.cut, timm.ranges = [120_000], False
    folder = fetch(NAME, told)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert sum(told.done) == len(WEIGHTS)


def test_a_busy_server_is_asked_again(timm):
    timm.statuses = [(503, ""), (429, ""), (500, "")]
    assert (fetch(NAME, Silent()) / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_damaged_cached_file_is_named_and_can_be_mended(file, timm):
    path = fetch(NAME, Silent()) / file
    content = path.read_bytes()
    blob = path.resolve()
    blob.write_bytes(content[:10] + bytes([content[10] ^ 1]) + content[11:])
    with pytest.raises(CheckpointError, match="damaged") as refused:
        fetch(NAME, Silent())
    assert str(blob) in refused.value.what and f"delete {blob}" in refused.value.mend
    blob.unlink()
    timm.requests.clear()
    assert (fetch(NAME, Silent()) / file).read_bytes() == content
    assert timm.fetched() == [file]


@pytest.mark.parametrize("content", [WEIGHTS[::-1], WEIGHTS + b"more", WEIGHTS * 9])
def test_other_bytes_than_announced(content, timm, told, tmp_path):
    timm.sent["model.safetensors"] = content
    with pytest.raises(CheckpointError, match="has not the checksum that was announced") as refused:
        fetch(NAME, told)
    assert sum(told.done) <= len(WEIGHTS)  # no more is kept than was announced
    assert hashlib.sha256(WEIGHTS).hexdigest() in refused.value.what
    assert not [p for p in (tmp_path / "hf").rglob("*") if p.is_file() and p.stat().st_size > 1000]
    timm.sent.clear()
    assert (fetch(NAME, Silent()) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_repository_in_shards(hub, told):
    hub.repositories[NAME] = sharded(WHOLE)
    folder = fetch(NAME, told)
    assert sorted(p.name for p in folder.iterdir()) == sorted(hub.repositories[NAME])
    (stage,) = told.stages
    assert stage[1] == sum(told.done) == len(WEIGHTS)
    hub.stop()
    assert fetch(NAME, told) == folder


@pytest.mark.parametrize(
    "index",
    [
        {"weight_map": {"a": "../../../evil.safetensors"}},
        {"weight_map": {"a": "/etc/evil.safetensors"}},
        {"weight_map": {"a": "code.bin"}},
        {"weight_map": {"a": 1}},
        {"weight_map": {"a": ["x"]}},
        {"weight_map": {"a": "model-1-of-2.safetensors", "b": 2}},
        {"weight_map": {}},
        {"weight_map": {str(i): f"{i}.safetensors" for i in range(2000)}},
        {"weight_map": []},
        [],
        {},
    ],
    ids=lambda index: str(index)[:40],
)
def test_an_index_that_makes_no_sense(index, hub):
    hub.repositories[NAME] = sharded(index)
    with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json"):
        fetch(NAME, Silent())


def test_an_index_that_names_a_file_the_repository_lacks(hub):
    hub.repositories[NAME] = sharded({"weight_map": {"a": "model-3-of-3.safetensors"}})
    with pytest.raises(CheckpointError, match=r"lacks model-3-of-3\.safetensors"):
        fetch(NAME, Silent())


def test_a_repository_of_a_pickle_alone(hub):
    hub.repositories[NAME] = {"pytorch_model.bin": b"a pickle", "config.json": CONFIG}
    folder = fetch(NAME, Silent())
    assert (folder / "pytorch_model.bin").read_bytes() == b"a pickle"
    hub.stop()
    assert fetch(NAME, Silent()) == folder


def test_safetensors_are_preferred_to_a_cached_pickle(timm, told):
    hf_hub_download(NAME, "pytorch_model.bin")
    folder = fetch(NAME, told)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.safetensors"])
def test_what_is_cached_in_part_serves_where_there_is_no_network(file, timm, told):
    path = hf_hub_download(NAME, file)
    timm.stop()
    assert str(fetch(NAME, told)) == path.rpartition("/")[0]
    (warning,) = told.warnings
    assert "cannot be reached" in warning and NAME in warning


def test_a_repository_without_config(hub):
    hub.repositories[NAME] = {"model.safetensors": WEIGHTS}
    folder = fetch(NAME, Silent())
    hub.stop()
    assert fetch(NAME, Silent()) == folder


def test_where_there_are_no_symlinks(timm, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    folder = fetch(NAME, Silent())
    assert not (folder / "model.safetensors").is_symlink()
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    timm.stop()
    assert fetch(NAME, Silent()) == folder


def test_two_at_once_download_once(timm):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: fetch(NAME, Silent()), range(2))
    assert first == second and (first / "model.safetensors").read_bytes() == WEIGHTS
    assert timm.ranges_asked() == [None]


def test_the_token_goes_to_the_hub_and_not_to_its_storage(timm, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch(NAME, Silent())
    for request in timm.requests:
        expected = None if "/cdn/" in request.path else "Bearer hf_secret"
        assert request.headers.get("authorization") == expected, request


@pytest.mark.parametrize("revision", [None, "v1", "refs/pr/1"])
def test_a_folder_filled_by_hand_comes_first(revision, timm):
    fetch(NAME, Silent())
    timm.requests.clear()
    place = weights_hub.brought(NAME, revision)
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(b"mine")
    assert fetch(NAME + (f"@{revision}" if revision else ""), Silent()) == place
    assert timm.requests == []


def test_shards_brought_in_part(hub):
    place = weights_hub.brought(NAME, None)
    place.mkdir(parents=True)
    for file, content in sharded(WHOLE).items():
        (place / file).write_bytes(content)
    assert fetch(NAME, Silent()) == place
    (place / "model-2-of-2.safetensors").unlink()
    with pytest.raises(MissingFileError, match=r"lacks model-2-of-2\.safetensors"):
        fetch(NAME, Silent())


@pytest.mark.parametrize("shards", [1, 2])
def test_what_is_fetched_can_be_read(shards, hub, told):
    tensors = {f"layer{i}.weight": torch.full((2, 3), float(i)) for i in range(4)}
    files = {"config.json": CONFIG}
    if shards == 1:
        files["model.safetensors"] = safetensors.torch.save(tensors)
    else:
        places = {key: f"model-{i % 2 + 1}-of-2.safetensors" for i, key in enumerate(tensors)}
        for file in set(places.values()):
            files[file] = safetensors.torch.save({k: v for k, v in tensors.items() if places[k] == file})
        files[INDEX] = json.dumps({"metadata": {}, "weight_map": places}).encode()
    hub.repositories[NAME] = files
    read = formats.read(fetch(NAME, told))
    assert read.said == "tf_efficientnet_b3"
    assert read.tensors.keys() == tensors.keys()
    assert all(torch.equal(read.tensors[key], value) for key, value in tensors.items())
