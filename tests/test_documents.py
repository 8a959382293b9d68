"""README and documents say what is there: commands parse, paths exist, links resolve, recipes work."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import MISSING, dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image

import edgeeff
from edgeeff.backends import Runtime
from edgeeff.bundle import Bundle
from edgeeff.cli import application
from edgeeff.target import TARGETS, load_target
from edgeeff.zoo import architecture, catalog

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
#: Folders whose files are found by being there, so that no document lists them.
OPEN_FOLDERS = (
    *(
        "graph/passes",
        "graph/importing",
        "zoo/families",
        "zoo/formats",
        "zoo/namings",
        "zoo/segmentation/decoders",
        "zoo/sources",
        "pipeline/stages",
    ),
    *("quantization/rewrites", "quantization/steps", "quantization/estimators", "quantization/foreign"),
    *(
        "tasks",
        "pipeline/resolve",
        "graph/operators",
        "cli",
        "backends/tensorrt/deployment",
        "backends/tensorrt/repair",
    ),
    *("calibration/clips", "training/tasks", "training/augment"),
    *("gate/formats", "history/kinds", "history/migrations", "devices/kinds"),
    *("report/sections", "report/drawing"),
    *("onboard", "streams/kinds"),
    *("training/augment/operators",),
    *("backends/tensorrt/lint/ruleset", "backends/tensorrt/device/onboard"),
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: Path
    language: str
    text: str

    @property
    def path(self) -> str | None:
        """The file that the block is, where its first line says so."""
        first = re.match(r"# (\S+/\S+)\n", self.text)
        return first[1] if first else None


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(document, language, content) for language, content in found]


def commands(document: Path) -> list[list[str]]:
    """The whole ``edgeeff`` command lines of a document's sh blocks."""
    lines = [
        line
        for block in blocks(document)
        if block.language == "sh"
        for line in block.text.replace("\\\n", " ").splitlines()
    ]
    return [shlex.split(line)[1:] for line in lines if line.startswith("edgeeff ")]


def prose(document: Path) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def inline(document: Path) -> list[str]:
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(document))


def recipes() -> dict[str, Block]:
    return {block.path: block for document in DOCUMENTS for block in blocks(document) if block.path}


CLI = typer.main.get_command(application())


def verbs(group) -> list:
    """All verbs, and those below them."""
    found = [*group.commands.values()]
    return found + [verb for one in found if hasattr(one, "commands") for verb in verbs(one)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_command_lines_parse(document):
    for verb, *arguments in commands(document):
        assert verb in CLI.commands, f"{document.name}: edgeeff {verb}"
        command = CLI.commands[verb]
        while hasattr(command, "commands"):
            command, arguments = command.commands[arguments[0]], arguments[1:]
        command.make_context(verb, arguments)  # raises on an unknown option


def test_the_readme_has_command_lines():
    assert {verb for verb, *_ in commands(ROOT / "README.md")} >= {"build", "emit", "run", "eval", "bench"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_options_in_the_text_exist(document):
    options = {o for verb in verbs(CLI) for p in verb.params for o in (*p.opts, *p.secondary_opts)}
    for code in inline(document):
        if code.startswith("edgeeff "):
            assert code.split()[1] in CLI.commands, code
        if code.startswith(("edgeeff ", "--")):
            assert set(re.findall(r"(?<!\S)--[a-z-]+", code)) <= options, code


def test_every_verb_is_in_the_changelog():
    assert set(CLI.commands) <= set(inline(ROOT / "CHANGELOG.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_exist(document):
    shell = [line for block in blocks(document) if block.language == "sh" for line in block.text.splitlines()]
    wanted = {code.split()[1] for code in [*inline(document), *shell] if code.startswith("make ")}
    rules = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert wanted <= set(rules)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_resolve(document):
    for link in re.findall(r"\]\(([^)]+)\)", prose(document)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        path = document if not name else (document.parent / name).resolve()
        assert path.exists(), f"{document.name}: {link}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}, link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_exist(document):
    tops = (
        "edgeeff/",
        "targets/",
        "boards/",
        "calibration/",
        "benchmarks/",
        "scripts/",
        "tests/",
        "docs/",
        ".ci/",
    )
    made = recipes()
    for code in inline(document):
        if code.startswith(tops) and not set(code) & set("<*… "):
            assert code in made or (ROOT / code).exists(), f"{document.name}: {code}"


def test_every_file_has_its_line_in_the_architecture():
    named = set(inline(ROOT / "docs/architecture.md"))
    for path in sorted((ROOT / "edgeeff").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        listed = name in named or any(name.startswith(f"edgeeff/{folder}/") for folder in OPEN_FOLDERS)
        assert listed or path.name == "__init__.py", f"docs/architecture.md has no line for {name}"


def test_every_target_and_error_is_named():
    readme, architecture_text = inline(ROOT / "README.md"), inline(ROOT / "docs/architecture.md")
    assert set(TARGETS.ours()) <= set(readme)
    kinds = {name for name in dir(edgeeff.errors) if name.endswith("Error")} - {"EdgeeffError"}
    assert kinds <= set(architecture_text)


def test_python_blocks_compile():
    for document in DOCUMENTS:
        for block in blocks(document):
            if block.language == "python":
                compile(block.text, f"{document.name}: {block.path or 'example'}", "exec")


def test_the_target_of_the_recipe_loads(tmp_path):
    block = recipes()["targets/camera-int8.toml"]
    path = tmp_path / "camera-int8.toml"
    path.write_text(block.text, encoding="utf-8")
    assert load_target(str(path)).input == "uint8"


def test_the_naming_of_the_recipe_knows_every_tensor():
    namespace: dict = {}
    exec(recipes()["tests/plugin/edgeeff_ortcpu/ourtrainer.py"].text, namespace)
    theirs = {ours: key for key, ours in namespace["_LAYERS"].items()}
    for name in ("b0", "lite2"):
        network = catalog.get(name).architecture
        assert isinstance(network, architecture.Architecture)
        stages = [block.stage for block in network.blocks]
        for tensor in network.tensors(10):
            place, layer, part = re.fullmatch(r"(?:blocks\.(\d+)\.)?(.+)\.(\w+)", tensor).groups()
            key = f"{theirs[layer]}.{part}"
            if place is not None:
                stage = stages[int(place)]
                key = f"stage{stage}.{int(place) - stages.index(stage)}.{key}"
            assert namespace["translate"](key, network) == tensor
    assert namespace["translate"]("stage9.0.dw.conv.weight", network) not in network.tensors(10)
    assert namespace["translate"]("criterion.weight", network) is None
    assert namespace["origin"](catalog.get("b0"), None).conventions.padding == "symmetric"


@pytest.mark.slow
def test_the_pass_of_the_recipe_works_in_a_copy(tmp_path):
    for name in ("edgeeff", "targets", "tests/graph"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests/conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    made = recipes()
    for name in ("edgeeff/graph/passes/drop_relu.py", "tests/graph/passes/test_drop_relu.py"):
        (tmp_path / name).write_text(made[name].text.partition("\n")[2], encoding="utf-8")

    def python(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/graph/passes/test_drop_relu.py")
    order = python(
        "-c", "from edgeeff.graph import passes as p; print([q.name for q in p.order(p.discover())])"
    )
    assert order.index("simplify") < order.index("drop_relu") < order.index("name_layers")


def test_the_plugin_is_the_one_of_the_tests():
    shown = {path: block for path, block in recipes().items() if path.startswith("tests/plugin/")}
    assert len(shown) == 7
    for path, block in shown.items():
        assert (ROOT / path).read_text("utf-8") == block.text


def test_the_recipe_of_a_runtime_names_every_fact():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    written = recipes()["tests/plugin/edgeeff_ortcpu/ort_cpu/__init__.py"].text
    for fact in dataclasses.fields(Runtime):
        assert f"`{fact.name}`" in text
        assert (
            fact.default is not MISSING or fact.default_factory is not MISSING or f"{fact.name}=" in written
        )


@pytest.fixture
def user_folder(tmp_path, monkeypatch, make_module, make_images):
    """What the README's user has: a checkpoint, photos, labels, a labelled set and somebody's Q/DQ graph."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(tmp_path / "cache"))
    torch.save({"state_dict": make_module("b0", classes=3, size=128).state_dict()}, "best.pt")
    Path("labels.txt").write_text("cat\ndog\nhen\n", encoding="utf-8")
    pixels = make_images(20, 160, 5)
    for number, image in enumerate(pixels):
        folder = Path("test") / ("cat", "dog", "hen")[number % 3]
        for place in (Path("photos"), folder):
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{number}.png")
    Image.fromarray(pixels[0]).save("photo.jpg")
    return tmp_path


@pytest.mark.slow
def test_the_readme_runs(user_folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for arguments in commands(ROOT / "README.md"):
        if "best.pt" in arguments and "photos/" not in arguments:
            continue  # the sentence at the top, which the longer one below it contains
        if arguments[0] == "emit":
            shutil.copy("dist/b0-jetson-int8/model.qdq.onnx", "theirs.onnx")
        quick = ["--launches", "1", "--seconds", "0.1"] if arguments[0] == "bench" else []
        done = subprocess.run(
            [sys.executable, "-m", "edgeeff", *arguments, *quick],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"edgeeff {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    for target in ("jetson-int8", "cpu-int8", "mobile-int8", "cpu-fp32"):
        bundle = Bundle.load(f"dist/b0-{target}")
        assert bundle.manifest.labels == ("cat", "dog", "hen")
        assert not bundle.altered()
    (layout,) = [b.text for b in blocks(ROOT / "README.md") if b.text.startswith("dist/")]
    named = set(re.findall(r"[\w.]+\w/?", layout))
    for path in Path("dist").glob("b0-*/*"):
        assert f"{path.name}{'/' * path.is_dir()}" in named, path
    (example,) = [b for b in blocks(ROOT / "README.md") if b.language == "python"]
    namespace: dict = {}
    exec(example.text, namespace)
    assert namespace["logits"].shape == (1, 3)
    assert np.isfinite(namespace["logits"]).all()
    assert namespace["report"].top_1_drop is not None
