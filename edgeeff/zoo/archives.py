"""Which zip archives are programs: told by their members, none of them read. Imports no torch."""

from __future__ import annotations

import zipfile
from pathlib import Path

TORCHSCRIPT, EXPORTED = "a TorchScript archive", "a torch.export program"
# The members that only such an archive has; torch.export's as of 2.8 and before.
_MEMBERS = {
    "constants.pkl": TORCHSCRIPT,
    "archive_format": EXPORTED,
    "serialized_exported_program.json": EXPORTED,
}


def kind(path: Path) -> str | None:
    """What program a file is, with its article; None if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    return next((_MEMBERS[n] for n in (name.rpartition("/")[2] for name in names) if n in _MEMBERS), None)
