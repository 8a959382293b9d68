"""What cannot be done on a board, as the host's errors have it: a kind, what is wrong, and what to do."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818 (it is told as the error of its kind)
    """Why something cannot be done.

    Args:
        kind: The name of the error that the host raises: one of ``edgeeff.errors``.
        what: What was wrong and where, one sentence.
        mend: What the reader can do about it, one sentence.
    """

    def __init__(self, kind: str, what: str, mend: str) -> None:
        super().__init__(what)
        self.kind, self.what, self.mend = kind, what, mend

    def __str__(self) -> str:
        return f"{self.what}\n  → {self.mend}"
