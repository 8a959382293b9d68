"""Pictures in a terminal: two pixels in a character, one picture in the place of the one before."""

from __future__ import annotations

import io
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from edgeeff.cli import _screen
from edgeeff.errors import OptionError


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    made = Terminal()
    monkeypatch.setattr(_screen, "sys", SimpleNamespace(stdout=made))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(
        _screen.shutil, "get_terminal_size", lambda fallback=(80, 24): os.terminal_size((21, 9))
    )
    return made


def test_each_character_is_two_pixels():
    pixels = np.array([[[1, 2, 3]] * 3, [[4, 5, 6]] * 2 + [[7, 8, 9]]], np.uint8)
    assert _screen.blocks(pixels) == ["\x1b[38;2;1;2;3;48;2;4;5;6m▀▀\x1b[38;2;1;2;3;48;2;7;8;9m▀\x1b[0m"]


def test_a_picture_takes_the_place_of_the_one_before(terminal, monkeypatch):
    monkeypatch.setattr(_screen, "_PACE", 0.0)
    screen = _screen.Screen()
    screen.show(Image.new("RGB", (400, 100), (9, 9, 9)), "a\x1b[2Jb " + "c" * 50)
    first = terminal.getvalue()
    rows = re.findall("(▀+)", first)
    assert {len(row) for row in rows} == {20} and len(rows) == 2  # 4 to 1: 20 x 4 pixels, kept in shape
    text = first.split("\n")[2]
    assert len(text.removesuffix("\x1b[K")) <= 20 and "\x1b[2J" not in first
    screen.show(Image.new("L", (100, 400)), "d")
    assert terminal.getvalue()[len(first) :].startswith("\x1b[3F")
    monkeypatch.setattr(_screen, "_PACE", 1000.0)
    before = terminal.getvalue()
    screen.show(Image.new("L", (9, 9)), "too soon")
    assert terminal.getvalue() == before


def test_where_nothing_can_be_drawn(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(OptionError, match="is none"):
        _screen.Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Terminal, "encoding", "ascii")
    with pytest.raises(OptionError, match="UTF-8"):
        _screen.Screen()
