"""Files that are damaged, greedy or would run code: each has its own clear error, and nothing of it runs."""

from __future__ import annotations

import collections
import os
import pickle
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from edgeeff.errors import CheckpointError, MissingFileError
from edgeeff.zoo import formats


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


class Calls:
    """Pickled as a call of a function that the unpickler allows, or does not."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def refused(path, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        formats.read(path)
    assert str(path.name) in caught.value.what
    assert caught.value.mend
    return caught.value


@pytest.mark.parametrize("suffix", ["pt", "ckpt", "safetensors", "h5", "keras", "bin", "weights.h5"])
class TestAnySuffix:
    def test_empty(self, suffix, tmp_path):
        (tmp_path / f"w.{suffix}").touch()
        refused(tmp_path / f"w.{suffix}", "is empty")

    def test_lfs_pointer(self, suffix, tmp_path):
        path = tmp_path / f"w.{suffix}"
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
        assert refused(path, "Git LFS pointer").mend == "run git lfs pull"

    @pytest.mark.parametrize(
        "start", [b"", b"\x80\x02", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"{", b"<!DOCTYPE"]
    )
    def test_garbage(self, suffix, start, tmp_path):
        path = tmp_path / f"w.{suffix}"
        path.write_bytes(start + bytes((7 * i * i) % 251 for i in range(500)))
        refused(path, "truncated or corrupt|no checkpoint|is refused")


def test_no_such_file(tmp_path):
    with pytest.raises(MissingFileError, match="cannot be read: No such file"):
        formats.read(tmp_path / "absent.pt")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MissingFileError, match="no regular file"):
        formats.read(tmp_path / "pipe")


def test_folders_without_a_checkpoint(tmp_path):
    refused(tmp_path, "a folder without a checkpoint")
    (tmp_path / "saved_model.pb").touch()
    assert 'model.save("model.keras")' in refused(tmp_path, "TensorFlow SavedModel").mend


@pytest.mark.parametrize("zipped", [True, False])
def test_code_never_runs(zipped, state, tmp_path):
    path, marker = tmp_path / "trap.ckpt", tmp_path / "ran"
    content = {"state_dict": state, "callbacks": {"x": Trap(marker)}}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    refused(path, r"holds (posix|nt)\.system, and loading that would execute code")
    assert not marker.exists()


@pytest.mark.parametrize("function", [eval, getattr, print])
def test_builtins_that_call(function, tmp_path):
    torch.save({"a": Calls(function, "1", "real")}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", f"holds {function.__name__}, and loading that would execute code")


def test_factory_of_a_default_dict_is_not_called(tmp_path):
    held = collections.defaultdict(Trap)
    torch.save({"a": held}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "Trap, and loading that would execute code")


def test_names_cannot_steer_the_terminal(state, tmp_path):
    torch.save({"\x1b[2J": torch.zeros(1)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "tensors of unprintable names")
    torch.save({"\x1b[2J": 1, "\udc80": 2}, tmp_path / "w.pt")
    assert refused(tmp_path / "w.pt", "holds no state_dict").what.isprintable()
    torch.save({"state_dict": state, "arch": "b0\x1b[2J"}, tmp_path / "w.pt")
    assert formats.read(tmp_path / "w.pt").said is None


@pytest.mark.parametrize("suffix", ["pt", "h5", "safetensors", "keras", "bin"])
def test_content_counts_before_the_name(suffix, state, tmp_path):
    path = tmp_path / f"w.{suffix}"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert formats.read(path).tensors.keys() == state.keys()
    # A header of a length that begins as a pickle does.
    save_file(state, path, {"pad": " " * next(n for n in range(256) if begins_like_a_pickle(path, state, n))})
    assert path.read_bytes()[:1] == b"\x80"
    assert formats.read(path).tensors.keys() == state.keys()


def begins_like_a_pickle(path, state, padding):
    save_file(state, path, {"pad": " " * padding})
    return path.read_bytes()[:1] == b"\x80"


def test_whole_module(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    error = refused(tmp_path / "w.pt", r"holds torch\.nn\.modules\.linear\.Linear")
    assert "torch.save(model.state_dict(), FILE)" in error.mend


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_bare_pickle_of_code(protocol, tmp_path):
    (tmp_path / "w.pt").write_bytes(pickle.dumps(Trap(tmp_path / "ran"), protocol))
    refused(tmp_path / "w.pt", r"is refused: .* execute code")
    assert not (tmp_path / "ran").exists()


def test_memory_that_a_pickle_claims(tmp_path):
    torch.save({"a": Calls(bytearray, 1 << 40)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "holds a bytearray")


def test_shape_by_a_stride_of_zero(tmp_path):
    torch.save({"w": torch.zeros(1).expand(1 << 40)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", r"w claims a shape of \(1099511627776,\), but holds 4 bytes")


def test_fresh_tensor_of_an_absurd_shape(tmp_path):
    torch.save({"w": Calls(torch.Tensor, 1 << 26)}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "claim more memory than the file is long")


def test_tensors_without_values(tmp_path):
    torch.save({"w": torch.zeros(3, device="meta")}, tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "w is on meta, without values")


def test_zip_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", bytes(1 << 24))
    refused(tmp_path / "w.pt", "would unpack to more than the file itself")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_programs_name_the_way_to_trust_them(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "script.pt")
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "program.pt2")
    assert "--trust-checkpoint" in refused(tmp_path / "script.pt", "is a TorchScript archive").mend
    assert "--trust-checkpoint" in refused(tmp_path / "program.pt2", "is a torch.export program").mend


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("kept", [0.001, 0.02, 0.5, 0.99, -1])
def test_truncated(kind, kept, tmp_path):
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    large = {f"w{i}": torch.randn(50, 50) for i in range(20)}
    if kind == "safetensors":
        save_file(large, path)
    else:
        torch.save(large, path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if kept > 0 else kept])
    refused(path, "truncated or corrupt")


@pytest.mark.parametrize(
    "header",
    [
        b'{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}}',
        b'{"w":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}',
        b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4398046511104]}}',
        b'{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
        b'{"w":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}',
        b'{"w":' + b"[" * 100_000,
    ],
)
def test_absurd_headers_of_safetensors(header, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    refused(tmp_path / "w.safetensors", "truncated or corrupt")


def test_absurd_length_of_a_safetensors_header(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    refused(tmp_path / "w.safetensors", "truncated or corrupt")
