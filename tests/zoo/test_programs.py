"""Networks that are code: only with trust, in eval mode, and every failure of theirs one clear error."""

from __future__ import annotations

import sys
import textwrap

import pytest
import torch
from torch import nn

from edgeeff.errors import CheckpointError, MissingFileError
from edgeeff.zoo import archives, programs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
X = torch.linspace(-1, 1, 3 * 8 * 8).reshape(1, 3, 8, 8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(4, 5)).eval()


def traced(network, path):
    torch.jit.save(torch.jit.trace(network, X, check_trace=False), path)


def scripted(network, path):
    torch.jit.save(torch.jit.script(network), path)


def frozen(network, path):
    torch.jit.save(torch.jit.freeze(torch.jit.script(network)), path)


def exported(network, path):
    torch.export.save(torch.export.export(network, (X.to(next(network.parameters()).dtype),)), path)


@pytest.fixture
def python_file(tmp_path, monkeypatch):
    """``python_file(code)``: a module in the working folder, my_networks.py."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_networks", raising=False)

    def write(code, name="my_networks.py"):
        (tmp_path / name).write_text("import torch\nfrom torch import nn\n" + textwrap.dedent(code))
        return tmp_path / name

    yield write
    sys.modules.pop("my_networks", None)


def refused(source, message, *, trust=True):
    with pytest.raises(CheckpointError, match=message) as caught:
        programs.load(source, trust=trust)
    assert caught.value.mend
    return caught.value


@pytest.mark.parametrize("save", [traced, scripted, frozen, exported])
def test_archives(save, network, tmp_path):
    save(network, tmp_path / "net.pt")
    assert archives.kind(tmp_path / "net.pt") is not None
    loaded = programs.load(tmp_path / "net.pt", trust=True)
    torch.testing.assert_close(loaded(X), network(X))
    assert not any(value.requires_grad for value in loaded.parameters())


@pytest.mark.parametrize("save", [traced, exported])
def test_archives_are_not_loaded_without_trust(save, network, tmp_path):
    save(network, tmp_path / "net.pt")
    assert (
        "--trust-checkpoint"
        in refused(tmp_path / "net.pt", "to load it is to run the code", trust=False).mend
    )


def test_scripted_in_training_mode_is_set_to_eval(network, tmp_path):
    scripted(network.train(), tmp_path / "net.pt")
    network.eval()
    torch.testing.assert_close(programs.load(tmp_path / "net.pt", trust=True)(X), network(X))


@pytest.mark.parametrize("save", [traced, exported])
def test_training_mode_written_into_the_graph(save, network, tmp_path):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    try:
        save(network.train(), tmp_path / "net.pt")
    finally:
        network.load_state_dict(before)
        network.eval()
    assert "model.eval()" in refused(tmp_path / "net.pt", "in training mode").mend


def test_half_precision(network, tmp_path):
    half = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()).half().eval()
    scripted(half, tmp_path / "script.pt")
    assert programs.load(tmp_path / "script.pt", trust=True)(X).dtype == torch.float32
    exported(half, tmp_path / "program.pt2")
    assert "model.float()" in refused(tmp_path / "program.pt2", "was exported in float16").mend


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02", b"<html>"])
def test_files_that_are_no_programs(content, tmp_path):
    (tmp_path / "net.pt").write_bytes(content)
    assert archives.kind(tmp_path / "net.pt") is None
    refused(tmp_path / "net.pt", "is neither a TorchScript archive nor a torch.export program")


def test_state_dict_is_no_program(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "w.pt")
    assert archives.kind(tmp_path / "w.pt") is None


@pytest.mark.parametrize("save", [traced, exported])
def test_damaged_archives(save, network, tmp_path):
    save(network, tmp_path / "net.pt")
    content = bytearray((tmp_path / "net.pt").read_bytes())
    content[64 : len(content) // 2] = bytes(len(content) // 2 - 64)
    (tmp_path / "net.pt").write_bytes(content)
    refused(tmp_path / "net.pt", r"net\.pt cannot be loaded: \w+: ")


def test_no_such_file(tmp_path):
    for source in (tmp_path / "absent.pt", "absent", f"{tmp_path}/absent.py:net", "absent.pt:0"):
        with pytest.raises(MissingFileError, match="does not exist"):
            programs.load(source, trust=True)


@pytest.mark.parametrize(
    "code",
    [
        "def make(): return nn.Linear(2, 3).half().train()",
        "make = nn.Linear(2, 3).half()",
        "class make(nn.Linear):\n    def __init__(self): super().__init__(2, 3)",
        "def make():\n    import my_blocks\n    return my_blocks.net",
    ],
)
@pytest.mark.parametrize("by", ["module", "file"])
def test_callables(code, by, python_file, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "my_blocks", raising=False)
    python_file("net = nn.Linear(2, 3)", "my_blocks.py")
    path = python_file(f"print('hello')\n{code}")
    loaded = programs.load(f"{path if by == 'file' else 'my_networks'}:make", trust=True)
    assert loaded(torch.zeros(1, 2)).shape == (1, 3)
    assert not loaded.training
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    assert capsys.readouterr().out == ""  # standard output is the command's own
    sys.modules.pop("my_blocks", None)


def test_callable_does_not_run_without_trust(python_file, tmp_path):
    python_file(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\nmake = nn.Identity")
    error = refused("my_networks:make", "is Python code: to load it is to run", trust=False)
    assert "--trust-checkpoint" in error.mend
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def make(): raise ValueError('no weights\\nat all')", "ValueError: no weights\n"),
        ("def make(): raise SystemExit(3)", "SystemExit: 3"),
        ("def make(): assert False", "AssertionError: without a message"),
        ("def make(size): return nn.Identity()", "TypeError: make.. missing 1 required"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("def make(:", "SyntaxError: "),
        ("def other(): pass", "AttributeError: .*has no attribute 'make'"),
        ("make = 3", "TypeError: 'int' object is not callable"),
        ("def make(): return torch.zeros(3)", "returned Tensor, not a torch.nn.Module"),
    ],
)
def test_failures_of_the_users_code(code, message, python_file):
    path = python_file(code)
    error = refused(f"{path}:make", message)
    assert "my_networks.py:make" in error.what


def test_module_that_is_not_there(python_file):
    refused("no_such_package.net:make", "ModuleNotFoundError: No module named 'no_such_package'")
