"""Files that a build reads more than once: one that changes meanwhile is noticed before anything is kept.

A training run that writes its best.pt anew, or a script that copies photos, would else give a result that was
made from the new file and is kept under the digest of the old one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from edgeeff.errors import ChangedFileError

Stamp = tuple[int, ...]
_SHOWN = 3


def stamp(path: Path) -> Stamp:
    """When a file was last written and last replaced, ns, and its size; zeros where it cannot be looked at.

    The second time (``st_ctime``) cannot be set: it tells a file that was replaced by one of the same size
    and the same time of writing, as ``cp -p`` leaves it.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ctime_ns)


@dataclass
class Watched:
    """The files of a build, with their stamps from before they were read.

    As a context it says of an error within that a file changed, where one did: a file that is read while it
    is written is damaged in any way.
    """

    _stamps: dict[Path, Stamp] = field(default_factory=dict)

    def add(self, paths: Iterable[Path]) -> None:
        """Watch files, from before they are read. One that is watched already keeps its first stamp."""
        for path in dict.fromkeys(paths):
            if path not in self._stamps:
                self._stamps[path] = stamp(path)

    def changed(self) -> list[Path]:
        """Those that were written, replaced or removed since."""
        return [path for path, seen in self._stamps.items() if stamp(path) != seen]

    def refuse_changed(self) -> None:
        """Refuse to go on where a file changed.

        Raises:
            ChangedFileError: One did.
        """
        if changed := self.changed():
            raise refusal(changed)

    def __enter__(self) -> Watched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and (changed := self.changed()):
            raise refusal(changed) from None


def refusal(changed: Iterable[Path]) -> ChangedFileError:
    """The error that names files that changed."""
    names = [str(path) for path in changed]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ChangedFileError(
        f"{', '.join(names[:_SHOWN])}{more} changed while it was read",
        mend="do it again when nothing writes there, or on a copy",
    )
