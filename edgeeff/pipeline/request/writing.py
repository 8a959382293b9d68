"""What is written from the declarations of options: the types of the Python keywords and docs/options.md.

``make options`` writes both; a test says when they are not current.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from edgeeff.pipeline.request.declaring import Option, declared
from edgeeff.pipeline.request.parts import Run, options

_HEAD = '''"""The keywords of :func:`edgeeff.build`, for editors and type checkers.

Written by ``make options`` from the declarations in :mod:`edgeeff.pipeline.request.parts`: change those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from torch import nn

    from edgeeff.target import Target


class BuildKeywords(TypedDict, total=False):
    """What may be said of a build: docs/options.md says what each keyword means."""

'''
BEGIN, END = "<!-- options: written by `make options` -->", "<!-- end of options -->"


def keywords() -> str:
    """The content of ``keywords.py``."""
    return _HEAD + "".join(f"    {one.name}: {one.kind.keyword}\n" for one in options())


def tables(every: Sequence[Option] = ()) -> str:
    """A Markdown table of options for each group; without any those of a build."""
    every = every or [*options(), *declared(Run)]
    return "".join(
        f"\n### {group}\n\n| command line | `edgeeff.toml`, Python | what it does |\n|---|---|---|\n"
        + "".join(map(_row, members))
        for group, members in groupby(every, lambda one: one.group)
    )


def documented(text: str, every: Sequence[Option] = ()) -> str:
    """A document with the tables in the place that is marked for them."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables(every)}\n{END}{after}"


def _row(one: Option) -> str:
    names = [one.flag, *([one.declared.short] if one.declared.short else [])]
    if one.switch and one.default is None:
        names.append(one.off)
    shown = "" if one.default in (None, False, ()) else f" Default: `{one.default}`."
    where = "" if one.declared.python else " (not in Python)"
    text = one.help.replace("|", "\\|").replace("*", "\\*")
    return f"| {', '.join(f'`{name}`' for name in names)} | `{one.name}`{where} | {text}{shown} |\n"


def main() -> None:
    """Write both in the checkout that this file is of."""
    here = Path(__file__).parent
    document = here.parents[2] / "docs" / "options.md"
    (here / "keywords.py").write_text(keywords(), encoding="utf-8")
    document.write_text(documented(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
