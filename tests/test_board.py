from __future__ import annotations

from dataclasses import replace

import pytest

from edgeeff.board import BOARDS, board_names, load_board, require_suited
from edgeeff.errors import OptionError
from edgeeff.target import load_target, target_names

GOOD = """\
summary = "A board of ours"
compute_capability = "8.7"
memory_gb = [16]
precisions = ["int8", "fp16"]
targets = ["jetson-int8"]
dla_cores = 0
dla = "it has none"

[[software]]
jetpack = "6.2"
tensorrt = "10.3"
verified = true
source = "us"
"""


@pytest.fixture
def board_file(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "ours.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return str(path)

    return write


def test_the_boards_that_there_are():
    jetsons = {"orin-nano", "orin-nx", "agx-orin", "xavier-nx", "agx-xavier", "thor"}
    assert jetsons | {"rtx-30", "rtx-40", "rtx-50"} == set(BOARDS.ours())
    capabilities = {name: load_board(name).compute_capability for name in jetsons}
    assert capabilities == {
        **dict.fromkeys(["orin-nano", "orin-nx", "agx-orin"], "8.7"),
        **dict.fromkeys(["xavier-nx", "agx-xavier"], "7.2"),
        "thor": "11.0",
    }


@pytest.mark.parametrize("name", board_names())
def test_every_board_can_be_read_and_its_targets_exist(name):
    board = load_board(name)
    assert board.name == name
    assert set(board.targets) <= set(target_names())
    for target in board.targets:
        require_suited(board, load_target(target))
    versions = [tuple(map(int, s.tensorrt.split("."))) for s in board.software]
    assert versions == sorted(versions)
    assert len({(s.jetpack, s.tensorrt) for s in board.software}) == len(board.software)


def test_what_was_not_verified_is_marked():
    """Of JetPack 6.0 no document of NVIDIA's was found, of 6.2 there was."""
    verified = {s.tensorrt: s.verified for s in load_board("orin-nano").software}
    assert verified == {"8.5": True, "8.6": False, "10.3": True, "10.16": False}


@pytest.mark.parametrize("name", ["orin-nano", "thor"])
def test_boards_without_dla(name):
    board = load_board(name)
    assert board.dla_cores == 0 and "no DLA" in board.dla


def test_a_board_of_ones_own(board_file):
    board = load_board(board_file(GOOD))
    assert board.name == "ours" and board.tensorrt == ("10.3",) and board.software[0].cuda == ""


@pytest.mark.parametrize("name", ["orin", "", "../boards/thor", "nowhere.toml", "a/b", "ORIN-NANO"])
def test_no_such_board(name):
    with pytest.raises(OptionError, match="no board named") as caught:
        load_board(name)
    assert all(known in caught.value.mend for known in board_names())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "summary = ",
        "\ud800",
        GOOD.replace('"8.7"', "8.7"),
        GOOD.replace('"8.7"', '"Orin"'),
        GOOD.replace("[16]", "[]"),
        GOOD.replace("[16]", "[-1]"),
        GOOD.replace('"fp16"', '"int4"'),
        GOOD.replace('tensorrt = "10.3"', "tensorrt = 10.3"),
        GOOD.replace('"10.3"', '"10.3.0.30"'),
        GOOD.replace("verified = true\n", ""),
        GOOD.partition("[[")[0],
        GOOD + 'colour = "red"\n',
    ],
)
def test_board_files_that_make_no_sense(text, board_file):
    with pytest.raises(OptionError):
        load_board(board_file(text))


@pytest.mark.parametrize("target", ["cpu-int8", "mobile-int8", "gpu-int8", "rtx-int8"])
def test_other_targets_do_not_suit_a_jetson(target):
    with pytest.raises(OptionError, match=rf"{target} .* is not for the board orin-nano") as caught:
        require_suited(load_board("orin-nano"), load_target(target))
    assert "jetson-int8 or jetson-fp16" in caught.value.mend


def test_a_target_of_ones_own_suits_by_its_runtime_and_precision():
    board, ours = load_board("agx-orin"), replace(load_target("jetson-int8"), name="camera-int8")
    require_suited(board, ours)
    with pytest.raises(OptionError, match="not for the board"):
        require_suited(board, replace(ours, runtime="openvino"))
    with pytest.raises(OptionError, match="not for the board"):
        require_suited(board, replace(ours, precision="fp32", scheme=None))


def test_engines_that_are_compiled_beforehand_must_be_for_the_board():
    target = load_target("rtx-int8")
    require_suited(load_board("rtx-40"), target)
    only_ampere = replace(target, runtime_properties={"compute_capabilities": "80, 86"})
    with pytest.raises(OptionError, match="compiles for 80, 86, and the board rtx-40 is 89"):
        require_suited(load_board("rtx-40"), only_ampere)
