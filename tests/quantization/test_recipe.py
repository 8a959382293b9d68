"""Recipes as data: what a file may say, what is refused and where, and which steps are taken."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from edgeeff.errors import CalibrationError, OptionError
from edgeeff.quantization import quantize, recipe
from edgeeff.quantization.draft import Evidence

PLAIN = 'summary = "s"\n[[step]]\nuse = "ranges"\nmethod = "minmax"\n[[step]]\nuse = "round"\n'


@pytest.fixture
def written(tmp_path):
    """``written(text)``: the path of a recipe file."""

    def make(text):
        path = tmp_path / "mine.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return make


@pytest.mark.parametrize("name", recipe.names())
def test_bundled_recipes_say_what_their_steps_understand(name):
    found = recipe.load(name)
    assert found.summary and found.steps
    # A file of the user's own is checked against the steps' signatures: ours hold as well.
    assert recipe.load(str(recipe.FOLDER / f"{name}.toml")) == found


@pytest.mark.parametrize("network", ["lite0", "b0"])
@pytest.mark.parametrize("scheme", ["openvino", "tensorrt", "tflite"])
@pytest.mark.parametrize("name", ["fast", "balanced"])
def test_bundled_recipes_decide_everything(name, scheme, network, finished):
    draft = finished(network, scheme, effort=name)
    assert set(draft.activations) == set(draft.placement.sites)
    assert set(draft.layers) == set(draft.placement.layers)
    draft.plan()


def test_steps_are_found_by_their_files():
    assert {"correct_bias", "equalise", "ranges", "round"} <= set(recipe.step_names())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('summary = "s"\n[[step]\n', ["mine.toml is not TOML", "line 2"]),
        (b'summary = "\xff"', ["mine.toml is not UTF-8 text", "line 1"]),
        ("a = " + "[" * 5000, ["mine.toml is not TOML"]),
        ('[[step]]\nuse = "round"\n', ["mine.toml: summary", "required"]),
        ('summary = "s"\n', ["mine.toml: step", "required"]),
        ('summary = 3\n[[step]]\nuse = "round"\n', ["mine.toml: summary", "string"]),
        ('summary = "s"\nsteps = []\n', ["mine.toml: step"]),
        ('summary = "s"\n[[step]]\nmethod = "mse"\n', ["mine.toml: step.0.use", "required"]),
        (f'{PLAIN}[[step]]\nuse = "pray"\n', ["mine.toml: no step named 'pray'", "choose from correct_bias"]),
        (f'{PLAIN}[[step]]\nuse = "../round"\n', ["no step named '../round'"]),
        (f'{PLAIN}activation = "odd"\n', ["mine.toml: step.1.activation", "'bounded' or 'unbounded'"]),
        (f'{PLAIN}swish = "halves"\n', ["mine.toml: step.1.swish", "'whole' or 'steps'"]),
        (f"{PLAIN}pictures = 3\n", ["step round: pictures", "its arguments are: method, images"]),
        (f'{PLAIN}images = "many"\n', ["step round: images", "integer"]),
        (f"{PLAIN}images = 1.5\n", ["step round: images", "integer"]),
        (f"{PLAIN}images = 0\n", ["step round: images", "greater than 0"]),
        (f'{PLAIN}method = "best"\n', ["mine.toml: step round: method", "'nearest' or 'gptq'"]),
        (f"{PLAIN}draft = 1\n", ["step round: draft"]),
        (f'{PLAIN}[[step]]\nuse = "equalise"\nlimit = nan\n', ["step equalise: limit"]),
        (f'{PLAIN}[[step]]\nuse = "equalise"\nstrength = 1.5\n', ["step equalise: strength", "1"]),
        (f'{PLAIN}[[step]]\nuse = "ranges"\ntail = -1e-4\n', ["step ranges: tail", "0"]),
        (f'{PLAIN}[[step]]\nuse = "correct_bias"\nx = 1\n', ["its arguments are: none"]),
    ],
)
def test_what_is_refused_and_where(text, says, written):
    with pytest.raises(OptionError) as error:
        recipe.load(written(text))
    for words in says:
        assert words in f"{error.value.what} {error.value.mend}"


def test_no_such_recipe(tmp_path):
    for name in ("perfect", str(tmp_path / "gone.toml"), "", ".."):
        with pytest.raises(OptionError, match="no recipe named") as error:
            recipe.load(name)
        assert "balanced, fast" in error.value.mend


@pytest.mark.parametrize(
    ("network", "scheme", "taken"),
    [("lite0", "openvino", "bounded"), ("b0", "openvino", "both"), ("b0", "tflite", "unbounded")],
)
def test_steps_are_for_kinds_of_networks_and_schemes(network, scheme, taken, written, begun):
    ranges = '[[step]]\nuse = "ranges"\nmethod = '
    text = (
        f'summary = "s"\n{ranges}"minmax"\n{ranges}"mse"\nactivation = "bounded"\n'
        f'{ranges}"percentile"\nactivation = "unbounded"\n'
        f'{ranges}"weighted"\nactivation = "unbounded"\nswish = "whole"\n'
    )
    notes = recipe.load(written(text))(begun(network, scheme)).notes
    expected = {
        "bounded": ("ranges: minmax", "ranges: mse"),
        "unbounded": ("ranges: minmax", "ranges: percentile"),
        "both": ("ranges: minmax", "ranges: percentile", "ranges: weighted"),
    }
    assert notes == expected[taken]


def test_other_ranges_and_nothing_else():
    balanced = recipe.load("balanced")
    changed = balanced.with_ranges("minmax")
    assert [s.use for s in changed.steps] == [s.use for s in balanced.steps]
    for before, after in zip(balanced.steps, changed.steps, strict=True):
        if before.use == "ranges":
            assert dict(after.arguments) == {**before.arguments, "method": "minmax"}
            assert (after.activation, after.swish) == (before.activation, before.swish)
        else:
            assert after == before
    assert changed.to_json() != balanced.to_json()


def test_unknown_estimator(begun):
    with pytest.raises(OptionError, match="no way named 'guess'") as error:
        recipe.load("fast").with_ranges("guess")(begun("lite0", "openvino"))
    assert "percentile" in error.value.mend


def test_a_recipe_of_the_users_own_reorders_and_skips(written, begun, finished):
    again = '[[step]]\nuse = "ranges"\nmethod = "mse"\n'
    draft = recipe.load(written(PLAIN + again))(begun("lite0", "tflite"))
    assert draft.notes == ("ranges: minmax", "weights: nearest", "ranges: mse")
    assert draft.plan().notes == draft.notes
    whole = finished("lite0", "tflite")
    assert any((draft.layers[n].bias != whole.layers[n].bias).any() for n in draft.layers)  # not corrected


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        (["round"], "step round comes before the ranges"),
        (["ranges", "correct_bias", "round"], "step correct_bias comes before the weights"),
        (["ranges", "equalise", "round"], "step equalise comes after the ranges"),
        (["ranges"], "the recipe decides nothing of"),
        ([], "the recipe decides nothing of"),
    ],
)
def test_an_order_that_makes_no_sense(steps, says, written, begun):
    text = "\n".join(['summary = "s"', *(f'[[step]]\nuse = "{step}"' for step in steps)])
    text = text if steps else 'summary = "s"\nstep = []'
    with pytest.raises(OptionError, match=says):
        recipe.load(written(text))(begun("b0", "openvino")).plan()


def test_images_that_are_not_there(b0, schemes):
    draft = quantize.begin(b0.graph, Evidence(b0.statistics), b0.preprocess, schemes["openvino"])
    rounding = recipe.Step("round", None, None, {"method": "gptq"})
    with pytest.raises(CalibrationError, match="there are no images") as error:
        rounding(recipe.Step("ranges", None, None, {"method": "minmax"})(draft))
    assert "--effort fast" in error.value.mend


def test_steps_leave_their_draft_as_it_was(begun):
    draft = begun("b0", "openvino")
    recipe.load("balanced")(draft)
    assert (draft.activations, draft.layers, draft.notes) == ({}, {}, ())


def test_floating_layers_are_left_out_of_the_plan(begun, networks, run_onnx):
    floating = frozenset({"stem.conv", "classifier"})
    draft = recipe.load("fast")(begun("lite0", "tflite", floating=floating))
    plan = draft.plan()
    assert plan.floating == ("classifier", "stem.conv") and not floating & set(plan.layers)
    said = json.loads(plan.to_json())["layers"]
    assert {name for name, layer in said.items() if layer == {"precision": "float"}} == floating
    readers = {reader for places in plan.readers.values() for reader, _ in places}
    assert not floating & readers
    hub = quantize.write(draft)
    weights = {node.name: node.input[1] for node in hub.graph.node if node.op_type in ("Conv", "Gemm")}
    assert {name for name in weights if "dequantized" not in weights[name]} == floating
    n = networks["lite0"]
    assert run_onnx(hub, n.preprocess.normalise(n.images[:2])).shape == (2, 10)


def test_reading_a_recipe_loads_no_torch():
    code = "import sys; from edgeeff.quantization import recipe; recipe.load('balanced').to_json()"
    check = "print([m for m in ('torch', 'onnx', 'onnx_ir') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {check}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
