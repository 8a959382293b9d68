"""What a frozen trunk makes of photos, computed once and kept in the cache by content.

Photos are taken in chunks, each an entry of its own: an interrupted run has what it computed, and a photo
more costs its chunk. A photo is seen several times where there are few: once as the deployment shows it, and
varied.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeeff.cache import key_of, versions
from edgeeff.graph.side_by_side import one_thread
from edgeeff.images import Picture
from edgeeff.pipeline.context import Context
from edgeeff.preprocess import Preprocess
from edgeeff.training import trunk
from edgeeff.training.loop import workers
from edgeeff.training.photos.decoding import Vary, seen
from edgeeff.zoo.efficientnet import EfficientNet

VERSION = 1
STAGE, MOMENTS = "training-features", "training-moments"
#: Photos of an entry.
CHUNK = 32
_TOOLS = ("edgeeff", "torch", "numpy", "pillow")


@dataclass(frozen=True)
class View:
    """How photos are shown.

    Args:
        number: 0 is the deployment's own view; others are varied, each in its way.
        vary: What changes a photo.
        name: Of that, for the key.
        seed: Of its random numbers.
    """

    number: int = 0
    vary: Vary | None = None
    name: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Features:
    """What the trunk made of photos.

    Args:
        values: float32 [N, features]; zeros of photos that cannot be decoded.
        bad: Why these cannot, by number.
    """

    values: npt.NDArray[np.float32]
    bad: Mapping[int, str]


@dataclass(frozen=True)
class Trunk:
    """A frozen trunk, ready to run.

    Args:
        network: Whose trunk it is, as it is trained.
        digest: Of all that its values hang on.
        preprocess: From a photo to its input.
        context: Keeps what was computed, and hears of it.
    """

    network: EfficientNet
    digest: str
    preprocess: Preprocess
    context: Context

    def of(self, pictures: Sequence[Picture], views: Sequence[View], doing: str) -> list[Features]:
        """What it makes of photos, view by view."""
        progress = self.context.progress
        starts = range(0, len(pictures), CHUNK)
        progress.stage(doing, len(pictures) * len(views))
        found, run = [], None
        with one_thread(), workers() as pool:
            for view in views:
                parts: list[Features] = []
                for start in starts:
                    numbers = range(start, min(start + CHUNK, len(pictures)))
                    key = self._key([pictures[i] for i in numbers], view)
                    part = self._lookup(key)
                    if part is None:
                        run = run or trunk.folded(self.network)
                        part = self._run(run, pictures, list(numbers), view, pool)
                        self.context.cache.put(STAGE, key, _encode(part))
                    parts.append(Features(part.values, {start + n: why for n, why in part.bad.items()}))
                    progress.advance(len(numbers))
                bad = {n: why for part in parts for n, why in part.bad.items()}
                found.append(Features(np.concatenate([part.values for part in parts]), bad))
        return found

    def moments(self, pictures: Sequence[Picture]) -> trunk.Moments:
        """What batch normalisation gives of some photos, as the deployment shows them."""
        key = self._key(pictures, View())
        entry = self.context.cache.get(MOMENTS, key)
        if entry is not None:
            return trunk.Moments.from_parts(entry)
        batches = [
            range(i, min(i + trunk.TOGETHER, len(pictures))) for i in range(0, len(pictures), trunk.TOGETHER)
        ]
        found, run, progress = trunk.Moments(), trunk.folded(self.network), self.context.progress
        progress.stage("noting what these photos are like", len(pictures))
        with one_thread(), workers() as pool:
            shown = (one.pixels for one in seen(pictures, batches, self.preprocess))
            for part in pool.map(lambda pixels: trunk.moments(run, self.preprocess, pixels), shown):
                found.add(part)
                progress.advance(trunk.TOGETHER)
        self.context.cache.put(MOMENTS, key, found.parts())
        return found

    def _key(self, pictures: Sequence[Picture], view: View) -> str:
        varied = [view.name, view.number, view.seed] if view.vary is not None else None
        return key_of(
            version=VERSION,
            tools=versions(*_TOOLS),
            trunk=self.digest,
            preprocess=self.preprocess.to_json(),
            pictures=[[p.content, p.index, p.crop] for p in pictures],
            view=varied,
        )

    def _lookup(self, key: str) -> Features | None:
        entry = self.context.cache.get(STAGE, key)
        return None if entry is None else _decode(entry)

    def _run(
        self,
        run: EfficientNet,
        pictures: Sequence[Picture],
        numbers: Sequence[int],
        view: View,
        pool: ThreadPoolExecutor,
    ) -> Features:
        """The features of a chunk; ``bad`` counts within it."""
        (shown,) = seen(pictures, [numbers], self.preprocess, view.vary, (view.seed, view.number))
        values = trunk.features(run, self.preprocess, shown.pixels, pool)
        whole = np.zeros((len(numbers), self.network.classifier.in_features), np.float32)
        if len(values):
            whole[[n - numbers[0] for n in shown.numbers]] = values
        return Features(whole, {n - numbers[0]: why for n, why in shown.bad.items()})


def _encode(part: Features) -> dict[str, bytes]:
    buffer = io.BytesIO()
    np.save(buffer, part.values, allow_pickle=False)
    return {"values.npy": buffer.getvalue(), "bad.json": json.dumps({**part.bad}).encode()}


def _decode(entry: Mapping[str, bytes]) -> Features:
    values = np.load(io.BytesIO(entry["values.npy"]), allow_pickle=False)
    return Features(values, {int(n): why for n, why in json.loads(entry["bad.json"]).items()})
