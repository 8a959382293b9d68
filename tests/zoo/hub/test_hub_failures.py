"""Where the hub gives no weights: what the error says, and that nothing hangs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from huggingface_hub import constants

from edgeeff.errors import CheckpointError, MissingFileError, OutputError
from edgeeff.progress import Silent
from edgeeff.zoo.hub import brought, fetch

NAME = "timm/tf_efficientnet_b3.aa_in1k"
WEIGHTS = bytes(range(256)) * 500


@pytest.fixture
def timm(hub):
    hub.repositories[NAME] = {"model.safetensors": WEIGHTS, "config.json": b"{}"}
    return hub


def refused(repository: str = NAME) -> MissingFileError:
    """The error of a fetch, which says what to bring and where to."""
    with pytest.raises(MissingFileError) as error:
        fetch(repository, Silent())
    name, _, revision = repository.partition("@")
    mend = error.value.mend
    assert f"bring model.safetensors and config.json from {constants.ENDPOINT}/{name}" in mend
    assert str(brought(name, revision or None)) in mend and "--checkpoint FILE" in mend
    assert name in error.value.what and "\n" not in str(error.value.what)
    return error.value


@pytest.mark.parametrize(
    ("status", "code", "what", "mend"),
    [
        (401, "GatedRepo", "gated", "ask for access"),
        (403, "GatedRepo", "gated", "HF_TOKEN"),
        (401, "", "no such repository, or it is private", "HF_TOKEN"),
        (401, "RepoNotFound", "no such repository, or it is private", "correct the name"),
        (404, "RepoNotFound", "no such repository", "correct the name"),
        (404, "RevisionNotFound", "no revision", "branch"),
        (404, "", "holds none of model.safetensors", "another repository"),
        (400, "", "status 400", "later"),
        (403, "", "status 403", "HF_TOKEN"),
        (429, "", "status 429", "later"),
        (500, "", "status 500", "later"),
        (503, "", "status 503", "later"),
    ],
)
def test_refusals(status, code, what, mend, timm):
    timm.refusal = (status, code)
    error = refused()
    assert what in error.what and mend in error.mend
    tries = [r for r in timm.requests if r.path.endswith("/model.safetensors")]
    assert len(tries) == (4 if status in (429, 500, 503) else 1)


def test_no_such_repository(timm):
    assert "no such repository" in refused("timm/none").what


def test_no_such_revision(timm):
    assert "no revision v9" in refused(f"{NAME}@v9").what


def test_no_weights_in_it(hub):
    hub.repositories[NAME] = {"config.json": b"{}", "flax_model.msgpack": b""}
    assert "holds none of" in refused().what


def test_no_connection(timm):
    timm.stop()
    assert "cannot be reached" in refused().what
    place = brought(NAME, None)
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(WEIGHTS)  # as the error said
    assert fetch(NAME, Silent()) == place


def test_no_name_service(timm, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert "cannot be reached: " in (what := refused().what) and "not known" in what


def test_offline_by_the_librarys_switch(timm, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    error = refused()
    assert "HF_HUB_OFFLINE" in error.what and timm.requests == []


@pytest.mark.parametrize(
    "endpoint", ["nonsense", "http://", "http://127.0.0.1:99999", "ftp://127.0.0.1", "http://["]
)
def test_a_malformed_endpoint(endpoint, hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    assert "cannot be reached" in refused().what


def test_a_page_to_log_in_to(timm):
    timm.is_hub = False
    assert "no Hugging Face hub" in refused().what


def test_a_silent_server_is_not_waited_for(timm, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    timm.stall = True
    error = refused()
    assert "did not answer in time" in error.what and "try again" in error.mend


def test_nobody_takes_the_connection(timm, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:  # it never accepts
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        assert "did not answer in time" in refused().what


@pytest.mark.parametrize(("size", "file"), [(10**15, "model.safetensors"), (9 << 30, "model.safetensors")])
def test_an_absurd_size(size, file, timm):
    timm.size = size
    with pytest.raises(CheckpointError, match=f"{file} of {NAME} has {size} bytes"):
        fetch(NAME, Silent())
    assert timm.fetched() == []


def test_a_cache_that_cannot_be_written(timm, monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(OutputError) as error:
        fetch(NAME, Silent())
    assert "HF_HUB_CACHE" in error.value.mend


def test_a_cache_in_disorder(timm):
    folder = fetch(NAME, Silent())
    (main,) = folder.parent.parent.glob("refs/main")
    for content in (b"\xff\xfe\x00", b"", b"../../.."):
        main.write_bytes(content)
        assert (fetch(NAME, Silent()) / "model.safetensors").read_bytes() == WEIGHTS


SCRIPT = """
import sys
from edgeeff.errors import EdgeeffError
from edgeeff.progress import Silent
from edgeeff.zoo.hub import fetch
assert not {"torch", "huggingface_hub"} & set(sys.modules), "imported too early"
try:
    print(fetch(sys.argv[1], Silent()))
except EdgeeffError as error:
    print(type(error).__name__, error)
"""


def in_a_process(tmp_path, **environment: str) -> str:
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith("HF_") and not k.lower().endswith("_proxy")
    }
    environment = {
        "EDGEEFF_CACHE_DIR": str(tmp_path / "edgeeff"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, NAME],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.strip()


def test_the_environment(timm, tmp_path):
    where = {"HF_ENDPOINT": timm.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_secret"}
    folder = in_a_process(tmp_path, **where)
    assert folder.startswith(str(tmp_path / "home" / "hub" / "models--timm--"))
    assert timm.requests[0].headers["authorization"] == "Bearer hf_secret"
    assert "edgeeff/" in timm.requests[0].headers["user-agent"]
    timm.stop()
    assert in_a_process(tmp_path, **where, HF_HUB_OFFLINE="1") == folder
    error = in_a_process(tmp_path, **where | {"HF_HOME": str(tmp_path / "other")}, HF_HUB_OFFLINE="1")
    assert error.startswith("MissingFileError") and "HF_HUB_OFFLINE" in error


def test_a_malformed_environment(timm, tmp_path):
    error = in_a_process(tmp_path, HF_ENDPOINT=timm.url, HF_HOME=str(tmp_path), HF_HUB_ETAG_TIMEOUT="soon")
    assert error.startswith("OptionError") and "soon" in error


def test_without_the_library(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "seek = PathFinder.find_spec.__func__\n"
        "PathFinder.find_spec = classmethod(lambda cls, name, path=None, target=None: "
        "None if name.partition('.')[0] == 'huggingface_hub' else seek(cls, name, path, target))\n"
    )
    error = in_a_process(tmp_path, PYTHONPATH=str(tmp_path))
    assert error.startswith("MissingRuntimeError") and "pip install '<checkout or wheel>[build]'" in error
