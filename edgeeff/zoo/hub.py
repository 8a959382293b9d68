"""Pretrained weights from the Hugging Face hub, or from a folder that somebody filled by hand.

Looked at in this order: the folder filled by hand, huggingface_hub's own cache, the hub. What is in the
first two needs no network. Imports neither torch nor, before it needs it, huggingface_hub.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeeff import text
from edgeeff.cache import Cache
from edgeeff.errors import CheckpointError, MissingFileError, MissingRuntimeError, OptionError
from edgeeff.installing import install_line
from edgeeff.progress import Progress

if TYPE_CHECKING:
    from edgeeff.zoo.hub_client import RemoteFile

SINGLE, INDEX, PICKLE = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
#: Files that hold a repository's weights, the best first. The pickle is read with weights_only alone.
WEIGHTS = (SINGLE, INDEX, PICKLE)
CONFIG = "config.json"

# The hub's rules for names (huggingface_hub.utils.validate_repo_id), and git's for what names a commit.
_NAME = r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = re.compile(rf"{_NAME}/(?!.*\.git$){_NAME}", re.ASCII)
_REVISION = re.compile(r"(?!.*(?:\.\.|//|\.lock$))[A-Za-z0-9_](?:[\w./-]{0,198}[\w-])?", re.ASCII)
_LARGEST_INDEX = 16 << 20  # bytes; an index of a thousand shards is smaller
_SHARD = re.compile(r"[A-Za-z0-9_][\w.-]{0,198}\.safetensors", re.ASCII)
_MOST_SHARDS = 1000
_INSTALL = install_line("build")


def parse(given: str) -> tuple[str, str | None]:
    """The repository, ``owner/name``, and the revision if one is given.

    Args:
        given: ``owner/name``, ``hf-hub:owner/name`` (timm's way) or either with ``@revision`` after it: a
            branch, a tag or a commit.

    Raises:
        OptionError: It is no such name.
    """
    prefix, colon, rest = given.strip().partition(":")
    name, at, revision = (rest if colon else prefix).partition("@")
    if (colon and prefix not in ("hf-hub", "hf_hub")) or not _REPOSITORY.fullmatch(name):
        raise OptionError(
            f"{given!r} names no repository of the Hugging Face hub",
            mend="write owner/name or hf-hub:owner/name@revision, as in timm/tf_efficientnet_b3.aa_in1k",
        )
    if at and not _REVISION.fullmatch(revision):
        raise OptionError(f"{given!r}: {revision!r} is no revision", mend="give a branch, a tag or a commit")
    return name, revision or None


def brought(name: str, revision: str | None) -> Path:
    """The folder where weights brought by hand are looked for: ``CACHE/weights/owner/name[@revision]``."""
    owner, _, short = name.partition("/")
    suffix = f"@{revision.replace('/', '--')}" if revision else ""
    return Cache.default().folder / "weights" / owner / f"{short}{suffix}"


def fetch(repository: str, progress: Progress) -> Path:
    """A local folder with a repository's weights and, where it has one, its config.json.

    The weights are ``model.safetensors``, or an index and its shards, or ``pytorch_model.bin`` where the
    repository has no safetensors. Nothing else is downloaded. What the library has cached is checked
    against its checksum and used without asking the hub for something newer; name a revision for that.
    A connection that breaks is opened again, and continues. Another process that is downloading the same
    file is waited for.

    Args:
        repository: See :func:`parse`.
        progress: Told of a download, in bytes.

    Raises:
        OptionError: A malformed name, or one of the library's environment variables is.
        MissingFileError: There is no network, no such repository, or no permission, and nothing is cached.
            Says which files to bring, and where to.
        CheckpointError: A cached file is damaged, or the hub sent another than it announced.
        MissingRuntimeError: huggingface_hub is not installed.
        OutputError: The library's cache cannot be written.
    """
    name, revision = parse(repository)
    place = brought(name, revision)
    if _filled(place):
        return place
    _require_library()
    from edgeeff.zoo.hub_client import HubError

    cached = _cached(name, revision)
    if cached is not None and cached.settled:
        return cached.folder
    try:
        return _download(name, revision, progress)
    except HubError as error:
        if cached is not None:
            progress.warn(f"{error.what}; taking what is cached of {name} in {cached.folder}")
            return cached.folder
        raise MissingFileError(
            f"no weights of {name}: {error.what}",
            mend=f"{error.mend}; or bring {SINGLE} and {CONFIG} from {error.page} and put them into {place}; "
            "or pass --checkpoint FILE",
        ) from None


def _require_library() -> None:
    if find_spec("huggingface_hub") is None:
        raise MissingRuntimeError(
            "weights from the Hugging Face hub need huggingface_hub, which is not installed",
            mend=f"install it: {_INSTALL}; or pass --checkpoint FILE",
        )
    try:
        import huggingface_hub.constants  # noqa: F401
    except ValueError as error:  # it reads its timeouts from the environment when it is imported
        raise OptionError(
            f"huggingface_hub cannot start: {error}", mend="correct the environment variables HF_…"
        ) from None


def _filled(place: Path) -> bool:
    """Whether a folder holds weights; an index without its shards is an error."""
    for file in WEIGHTS:
        if not (place / file).is_file():
            continue
        missing = [s for s in _shards(place / file) if not (place / s).is_file()] if file == INDEX else []
        if missing:
            raise MissingFileError(
                f"{place} lacks {', '.join(missing[:3])}{' and others' if len(missing) > 3 else ''}, "
                f"which its {INDEX} names",
                mend="put these files there too",
            )
        return True
    return False


def _shards(index: Path) -> list[str]:
    """The files that an index names, all beside it.

    Raises:
        CheckpointError: It is no index, or names files elsewhere.
    """
    try:
        content = text.read_json(index, CheckpointError, _LARGEST_INDEX)
        files = sorted(set(content["weight_map"].values()))
        wrong = next((f for f in files if not _SHARD.fullmatch(f)), None)
    except (CheckpointError, KeyError, TypeError, AttributeError):
        raise CheckpointError(
            f"{index} is no index of safetensors files", mend="bring it again, or pass --checkpoint FILE"
        ) from None
    if wrong is not None or not 0 < len(files) <= _MOST_SHARDS:
        raise CheckpointError(
            f"{index} names {len(files)} files" if wrong is None else f"{index} names {wrong!r} as a file",
            mend=f"an index names 1 to {_MOST_SHARDS} .safetensors files that lie beside it",
        )
    return files


@dataclass(frozen=True)
class _Cached:
    """Weights in the library's cache; ``settled``: the hub has nothing to add to them."""

    folder: Path
    settled: bool


def _cached(name: str, revision: str | None) -> _Cached | None:
    from huggingface_hub import try_to_load_from_cache

    from edgeeff.zoo.hub_cache import check_cached

    def ask(file: str) -> Any:
        """Its path, None, or the library's mark of a file that is not in the repository."""
        try:
            return try_to_load_from_cache(name, file, revision=revision)
        except (OSError, ValueError):  # a cache in disorder holds nothing
            return None

    def find(file: str) -> Path | None:
        path = ask(file)
        if not isinstance(path, str):
            return None
        check_cached(Path(path))
        return Path(path)

    for file in WEIGHTS:
        path = find(file)
        if path is None or (file == INDEX and None in [find(shard) for shard in _shards(path)]):
            continue
        find(CONFIG)
        to_know = (CONFIG, SINGLE, INDEX) if file == PICKLE else (CONFIG,)
        return _Cached(path.parent, settled=all(ask(other) is not None for other in to_know))
    return None


def _download(name: str, revision: str | None, progress: Progress) -> Path:
    from edgeeff.zoo import hub_cache, hub_client

    absent: list[str] = []

    def look_up(file: str, at: str | None) -> RemoteFile | None:
        found = hub_client.look_up(name, at, file)
        if found is None:
            absent.append(file)
        return found

    weights = next(filter(None, (look_up(file, revision) for file in WEIGHTS)), None)
    if weights is None:
        raise hub_client.HubError(
            name, f"the repository holds none of {', '.join(WEIGHTS)}", "name another repository"
        )
    # All other files at the commit of the first: somebody may be pushing a new one.
    config = look_up(CONFIG, weights.commit)
    if config is not None:
        hub_cache.download(config)
    large = [weights]
    if weights.name == INDEX:
        index = hub_cache.download(weights)
        large = [_announced(name, shard, look_up(shard, weights.commit)) for shard in _shards(index)]
    total = sum(file.size for file in large)
    progress.stage(f"downloading {name} from the Hugging Face hub ({total / 1e6:.1f} MB)", total, "bytes")
    paths = [hub_cache.download(file, progress.advance) for file in large]
    hub_cache.note(weights, revision, absent)
    return paths[0].parent


def _announced(name: str, shard: str, found: RemoteFile | None) -> RemoteFile:
    if found is None:
        raise CheckpointError(
            f"{name} lacks {shard}, which its {INDEX} names",
            mend="name another repository or revision, or pass --checkpoint FILE",
        )
    return found
