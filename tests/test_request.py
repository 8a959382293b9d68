"""Options are declared once: what is made of a declaration, requests, and ``edgeeff.toml``."""

from __future__ import annotations

import inspect
import pickle
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import edgeeff
from edgeeff import cli
from edgeeff.cli import application
from edgeeff.cli import options as cli_options
from edgeeff.errors import OptionError, OutputError
from edgeeff.pipeline.request import BuildRequest, config, parts, refuse_other_verbs, writing
from edgeeff.pipeline.request.declaring import Part, declared, option
from edgeeff.pipeline.request.keywords import BuildKeywords
from edgeeff.pipeline.request.kinds import WORD
from edgeeff.pipeline.request.parts import Run, options

DOCUMENT = Path(edgeeff.__file__).parents[1] / "docs" / "options.md"
VERBS = {info.name: info for info in application().registered_commands}


# Declarations


def test_what_is_written_from_the_declarations_is_current():
    """``make options`` writes it."""
    assert Path(inspect.getfile(BuildKeywords)).read_text(encoding="utf-8") == writing.keywords()
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == writing.documented(text)


def test_one_declaration_is_an_option_everywhere(monkeypatch):
    """A part with one field more: nothing else is written for the option to be there."""

    @dataclass(frozen=True)
    class Lens(Part):
        """Lens: in front of the camera."""

        lens: str | None = option(WORD, "Which lens took the photos.", example="wide")

    monkeypatch.setattr(parts, "PARTS", (*parts.PARTS, Lens))
    (one,) = declared(Lens)

    @cli_options.of_verb("diagnose")
    def command(said: dict) -> int:
        return said

    assert "lens" in inspect.signature(command).parameters
    assert config.every()["lens"] == one
    assert '\n#lens = "wide"\n' in config.content({}) and '\nlens = "long"\n' in config.content(
        {"lens": "long"}
    )
    assert "    lens: str | None\n" in writing.keywords()
    assert "| `--lens` | `lens` | Which lens took the photos. |" in writing.tables()
    assert Lens(lens="long").lens == "long"
    with pytest.raises(OptionError, match="--lens"):
        Lens(lens=3)


def test_a_help_text_stands_in_one_file():
    """Nobody writes its help text a second time."""
    sources = {p: p.read_text(encoding="utf-8") for p in Path(edgeeff.__file__).parent.rglob("*.py")}
    for one in (*options(), *declared(Run)):
        beginning = one.help[:40]
        assert sum(beginning in text for text in sources.values()) == 1, one.name


def test_no_signature_is_long():
    """A build's options are no parameters: the request holds them."""
    from edgeeff import diagnosis, foreign
    from edgeeff.pipeline import build

    for function in (build.build, build.run, diagnosis.diagnose, foreign.emit):
        code = inspect.unwrap(function).__code__
        assert code.co_argcount + code.co_kwonlyargcount < 12


def test_python_shows_every_keyword():
    shown = inspect.signature(edgeeff.build).parameters
    for one in options():
        assert shown[one.name].default == one.default
        assert f"    {one.name}: " in edgeeff.build.__doc__
    assert set(BuildKeywords.__annotations__) == {one.name for one in options()}


@pytest.mark.parametrize("verb", ["build", "diagnose", "emit"])
def test_a_verb_has_the_options_that_are_declared_for_it(verb):
    shown = inspect.signature(VERBS[verb].callback).parameters
    wanted = {one.name for one in (*options(verb), *declared(Run, verb))}
    assert wanted <= set(shown)
    assert not {one.name for one in options()} - wanted - {"model", "targets"} & set(shown)


def test_help_is_in_groups_and_its_lines_fit():
    shown = CliRunner().invoke(application(), ["build", "-h"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    for group in dict.fromkeys(one.group for one in (*options(), *declared(Run))):
        assert f"╭─ {group} ─" in shown.output
    assert "--no-autotune" not in shown.output  # it is there, and hidden


# Requests


def test_a_request_is_data():
    said = {"model": "b0", "targets": ["cpu-int8"], "size": "96x128", "mean": "127", "keep_float": "a,b"}
    request = BuildRequest.of(**said)
    assert request == BuildRequest.of(
        model="b0", targets=("cpu-int8",), size=(96, 128), mean=(127,), keep_float=["a", "b"]
    )
    assert request != request.changed(size=96) and request.changed(size=96).preprocess.size == (96, 96)
    assert pickle.loads(pickle.dumps(request)) == request
    assert BuildRequest.of(**request.keywords()) == request
    assert BuildRequest.of(golden=None, effort=None) == BuildRequest()
    assert BuildRequest().keywords() == {}
    numpys = {
        "size": np.array([96, 128]),
        "mean": np.float32(127),
        "std": np.ones(3),
    }
    other = {"labels": np.array(["a", "b"]), "targets": dict.fromkeys(["cpu-int8"]), "count": np.int64(3)}
    found = BuildRequest.of(
        **numpys,
        **other,
        softmax=np.bool_(True),
        keep_float=(name for name in "ab"),
        max_drop=np.float32(0.5),
    )
    assert found == BuildRequest.of(
        **{"size": (96, 128), "mean": [127], "std": (1, 1, 1), "softmax": True, "labels": ("a", "b")},
        **{"targets": "cpu-int8", "count": 3, "keep_float": ["a", "b"], "max_drop": 0.5},
    )


def test_what_a_program_holds_is_compared_by_its_content():
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    pixels = np.zeros((2, 3, 3, 3), np.uint8)
    request = BuildRequest.of(checkpoint=first, calibration=[*pixels], validation=pixels)
    again = pickle.loads(pickle.dumps(request))
    assert again == request and hash(again.images) == hash(request.images)
    assert request != request.changed(checkpoint=second)
    assert request != request.changed(calibration=[*pixels + 1]) and request != request.changed(
        validation=None
    )
    assert BuildRequest.of(calibration=iter(pixels)) != BuildRequest.of(calibration=iter(pixels))


def test_what_is_no_option_of_a_build():
    with pytest.raises(TypeError, match="did you mean 'calibration'"):
        edgeeff.build(calibraton="photos")
    with pytest.raises(OptionError, match="--labels, --softmax has no meaning for diagnose"):
        refuse_other_verbs(BuildRequest.of(softmax=True, labels=["a"]), "diagnose")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"count": "many"}, "--count 'many'"),
        ({"count": 0}, "--count 0"),
        ({"golden": True}, "--golden True"),
        ({"crop": float("nan")}, "--crop nan"),
        ({"std": [1, float("inf"), 1]}, "--std"),
        ({"mean": (1, 2)}, "--mean has 2 values"),
        ({"size": (1, 2, 3)}, "--size"),
        ({"size": "²"}, "--size '²'"),
        ({"softmax": "yes"}, "--softmax 'yes'"),
        ({"checkpoint": 3}, "--checkpoint 3"),
        ({"calibration": ""}, "--calibration ''"),
        ({"validation": {"a": 1}}, "--validation {'a': 1}"),
        ({"calibration": 3}, "--calibration 3"),
        ({"keep_float": ["a", ""]}, "names nothing"),
        ({"targets": 3}, "--target 3"),
        ({"labels": 3}, "--labels 3"),
        ({"keep_float": 3}, "--keep-float 3"),
        ({"model": 0}, "--model 0"),
    ],
    ids=lambda value: str(value),
)
def test_values_that_no_option_has(said, says):
    with pytest.raises(OptionError, match=re.escape(says)):
        BuildRequest.of(**said)


# edgeeff.toml


@pytest.mark.parametrize(
    ("text", "says", "mend"),
    [
        ('model = "b0"\ncalibraton = "x"', "line 2: there is no key 'calibraton'", "'calibration'"),
        ('target = "cpu-int8"', "line 1: there is no key 'target'", "'targets'"),
        ("json = true", "line 1: json is for the command line alone", "take it out"),
        ('a = """\nmodel = 1\n"""', "line 1: there is no key 'a'", "docs/options.md"),
        ('name = """\nsize = 1\n"""\nsize = "a"', "line 4: --size 'a'", "192x256"),
        ('\n\n"size" = 2.5', "line 3: size = 2.5", '"192x256"'),
        ("golden = true", "line 1: golden = true", "a whole number"),
        ("keep_float = ['a', 3]", 'line 1: keep_float = ["a", 3]', "a list"),
        ("[labels]\na = 1", "line 1: labels = …", "a list of names"),
        ("keep-float = 'a'\nkeep_float = 'b'", "line 2: keep_float stands already in line 1", "keep one"),
        ("checkpoint = 'a'\nweights = 'b'", "line 1: checkpoint, and line 2 says weights", "keep one"),
        ("autotune = true\ntuning = 'b'", "line 2: tuning, and line 1 says autotune", "keep one"),
        ("model = ", "is not TOML", "--config none"),
        ("model = 'a'\nmodel = 'b'", "is not TOML", "syntax"),
        ("a" * (1 << 20) + "bc", "is larger than", "text file"),
    ],
    ids=lambda value: value.replace("\n", " ")[:40],
)
def test_mistakes_in_a_file_are_named_with_their_line(text, says, mend, tmp_path):
    path = tmp_path / "edgeeff.toml"
    path.write_text(text)
    with pytest.raises(OptionError) as caught:
        config.read(path)
    assert says in caught.value.what and str(path) in caught.value.what
    assert mend in caught.value.mend


def test_the_command_line_overrides_a_file_key_by_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edgeeff.toml").write_text(
        "model = 'b0'\nsize = 96\ncheckpoint = 'best.pt'\nsoftmax = true\ntargets = 'cpu-int8'\nstrict = true"
    )
    found = config.merged({"size": "64", "weights": "imagenet", "softmax": False}, None, "build")
    assert found.values == {
        **{"model": "b0", "size": "64", "weights": "imagenet", "softmax": False},
        **{"targets": ["cpu-int8"], "strict": True},
    }
    said, overridden = found.line.split("; overridden by the command line: ")
    assert said.endswith("edgeeff.toml: model, targets, strict")
    assert overridden == "size, checkpoint, softmax"
    assert config.merged({"model": "b1"}, "none", "build").values == {"model": "b1"}
    (tmp_path / "camera.toml").write_text("io = 'nv12'\nyuv = 'bt709'")
    for io, left in (("bgr", {"io": "bgr"}), ("nv12", {"io": "nv12", "yuv": "bt709"})):
        assert config.merged({"io": io}, "camera.toml", "build").values == left
    assert config.merged({}, None, "diagnose").values.keys() == {"model", "size", "checkpoint", "targets"}


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "line").mkdir()
    path = tmp_path / "line" / "edgeeff.toml"
    path.write_text(
        "checkpoint = 'net.py:make'\ncalibration = 'photos'\nvalidation = '/else/where'\noutput = '.'\n"
        "labels = 'imagenet'\neffort = 'mine.toml'\ntargets = ['cpu-int8', 'own.toml']\n"
    )
    monkeypatch.chdir(tmp_path)
    request = BuildRequest.read("line/edgeeff.toml")
    assert request.source.checkpoint == str(Path("line/net.py:make"))
    assert request.images.calibration == Path("line/photos")
    assert request.images.validation == Path("/else/where")
    assert request.output.output == Path("line")
    assert (request.meaning.labels, request.quantise.effort) == ("imagenet", str(Path("line/mine.toml")))
    assert request.output.targets == ("cpu-int8", str(Path("line/own.toml")))
    path.write_text("checkpoint = 'package.module:make'\nlabels = ['a', 'b']")
    request = BuildRequest.read(path)
    assert (request.source.checkpoint, request.meaning.labels) == ("package.module:make", ("a", "b"))


def test_a_file_that_is_found_lets_no_code_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edgeeff.toml").write_text(
        "model = 'b0'\ntrust-checkpoint = true\ncheckpoint = 'net.py:make'"
    )
    with pytest.raises(OptionError, match=r"edgeeff.toml line 2: trust_checkpoint") as caught:
        config.merged({}, None, "build")
    assert "--trust-checkpoint" in caught.value.mend
    assert config.merged({"trust_checkpoint": True}, None, "build").values["trust_checkpoint"] is True
    assert config.merged({"trust_checkpoint": False}, None, "build").values["trust_checkpoint"] is False
    assert config.merged({}, "edgeeff.toml", "build").values["trust_checkpoint"] is True


def test_what_is_written_is_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line").mkdir()
    said = {
        **{
            "model": "b0",
            "size": "96x128",
            "calibration": Path('pho"tos'),
            "targets": ["cpu-int8", "a.toml"],
        },
        **{"softmax": True, "min_sqnr": 26.5, "keep_float": "stem*,head", "strict": True},
    }
    config.write(Path("line/edgeeff.toml"), said)
    request = BuildRequest.read("line/edgeeff.toml")
    expected = BuildRequest.of(**{name: value for name, value in said.items() if name != "strict"})
    seen = Path("line") / ".."
    assert request == replace(
        expected,
        images=replace(expected.images, calibration=seen / 'pho"tos'),
        output=replace(expected.output, targets=("cpu-int8", str(seen / "a.toml"))),
    )
    with pytest.raises(OutputError, match="is there already"):
        config.write(Path("line/edgeeff.toml"), {})
    with pytest.raises(OptionError, match="--size"):
        config.write(Path("other.toml"), {"size": "x"})
    assert not Path("other.toml").exists()


def test_each_comment_is_a_key_that_may_be_used(tmp_path):
    path = tmp_path / "edgeeff.toml"
    keys = re.findall(r"^#(\w+ = .*)$", config.content({}), re.MULTILINE)
    assert [key.partition(" ")[0] for key in keys] == [*config.every()]
    for key in keys:
        path.write_text(key)
        assert [*config.read(path).values] == [key.partition(" ")[0]]


def test_the_document_shows_a_file_that_is_read(tmp_path):
    (block,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "edgeeff.toml").write_text(block)
    assert BuildRequest.read(tmp_path / "edgeeff.toml").output.targets == ("jetson-int8", "cpu-int8")


def test_the_verb_takes_and_writes_a_file(tmp_path, monkeypatch, capsys):
    """What is wrong with what it says is found before anything is loaded."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main(["build", *arguments])
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    monkeypatch.chdir(tmp_path)
    status, _, err = run()
    assert status == 2 and "--target" in err and "--write-config" in err
    assert run("--write-config", "--size=64", "--io=odd", "-t", "cpu-int8")[0] == 0
    status, _, err = run("--json", "--no-softmax")
    assert status == 2 and "config   edgeeff.toml: targets, io, size\n" in err and "--io 'odd'" in err
    status, _, err = run("--io", "strange", "-t", "mobile-int8")
    assert "edgeeff.toml: size; overridden by the command line: targets, io" in err and "'strange'" in err
    assert run("--write-config")[0] == 2
    assert "both --softmax and --no-softmax" in run("--softmax", "--no-softmax")[2]
    assert run("--config", "none")[2].startswith("error: no target")
