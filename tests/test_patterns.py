"""Regular expressions from files: what a recipe needs is taken, what takes for ever is not."""

from __future__ import annotations

import re

import pytest

from edgeeff import patterns

#: A name that each would part in every way before it gives up.
LONG = "a" * 250 + "!"


@pytest.mark.parametrize(
    "pattern",
    [r"^(\d+)", r"_(\d+)\.jpg$", r"^(.+)_(\d+)_(.*)\.png$", r"(?:ab|cd)(\d{3})", r"(a|b)x", r"^\w+-(\d+)"],
)
def test_what_recipes_say_is_taken(pattern):
    assert patterns.groups(pattern) == re.compile(pattern).groups >= 1
    re.search(pattern, LONG)


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "(a+)+$",
            "(a*)*$",
            "(a|aa)+$",
            "((a+)b?)*$",
            "(a+){30}$",
            r"(a+|b)*c",
            "(?:(?:a+)?)+$",
            r"(a)\1*(\1)+$",
        ),
        r"(.*)(.*)(.*)(.*)(.*)$x",
    ],
)
def test_what_takes_for_ever_is_refused(pattern):
    with pytest.raises(ValueError, match="can take for ever"):
        patterns.groups(pattern)


@pytest.mark.parametrize("pattern", ["(", "[", "*", "(?P<a", "(" * 5000, "x{9999999999999999999999}"])
def test_what_is_no_expression_is_refused(pattern):
    with pytest.raises(ValueError, match=r"no regular expression|for ever"):
        patterns.groups(pattern)
