"""Text as editors write it: marks, encodings, line ends."""

from __future__ import annotations

import codecs

import pytest

from edgeeff import text
from edgeeff.errors import LabelsError, OptionError

CONTENT = "Käse\nsushi 寿司\n"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_encodings_and_line_ends(mark, encoding, end, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(mark + CONTENT.replace("\n", end).encode(encoding))
    assert text.read(path, LabelsError) == CONTENT
    assert text.lines(path, LabelsError) == ["Käse", "sushi 寿司"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("Käse\nBrötchen".encode("latin-1"), r"UTF-8 text \(line 1\)"),
        (b"cat\ndog\n\xff\n", r"UTF-8 text \(line 3\)"),
        (CONTENT.encode("utf-16-le"), "NUL|UTF-8"),
        (codecs.BOM_UTF16_LE + b"c", "damaged utf-16-le"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\r", "UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(data, reason, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(LabelsError, match=reason):
        text.read(path, LabelsError)


def test_size_and_kind_of_file_are_bounded(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x" * 100)
    assert len(text.read(path, OptionError, largest=100)) == 100
    with pytest.raises(OptionError, match="larger than 99 bytes"):
        text.read(path, OptionError, largest=99)
    for wrong in (tmp_path, tmp_path / "missing"):
        with pytest.raises(OptionError, match="cannot be read"):
            text.read(wrong, OptionError)


def test_only_line_ends_part_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("a\u2028b\x0bc\x85d\ne\n\n \n".encode())
    assert text.lines(path, LabelsError) == ["a\u2028b\x0bc\x85d", "e"]


@pytest.mark.parametrize("content", ['{"a": 1', '{"a": 1, "a": 2}', "[" * 100000, "", "{'a': 1}"])
def test_json_that_is_none_or_contradicts_itself_is_refused(content, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(LabelsError, match="is not JSON"):
        text.read_json(path, LabelsError)


def test_json_with_a_mark(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": [1]}', encoding="utf-8-sig")
    assert text.read_json(path, LabelsError) == {"a": [1]}


def test_nothing_foreign_is_markup_of_a_document():
    assert text.in_markdown("lite0-cpu-int8, for x_y (#1)") == "lite0-cpu-int8, for x_y (#1)"
    shown = text.in_markdown("a](b)<script>`c`|\n# d\u202e*e*")
    assert shown == "a\\](b)&lt;script&gt;\\`c\\`\\| # d\N{REPLACEMENT CHARACTER}\\*e\\*"
