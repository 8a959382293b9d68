"""The way from a trained network and the user's own photos to a checkpoint, top to bottom.

    photos ─▶ labels ─▶ trunk's features ─▶ head ─▶ blocks ─▶ best.pt ─▶ bundles

What was computed is kept meanwhile: a run that was interrupted goes on, and ends at the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from edgeeff import tasks as meanings
from edgeeff.cache import Bookmark, Cache, key_of
from edgeeff.pipeline.context import Context
from edgeeff.progress import Progress, Recorder, recorded
from edgeeff.target import load_target
from edgeeff.training import checkpoint, preparing
from edgeeff.training.building import Judged, bundles
from edgeeff.training.checkpoint import Trained
from edgeeff.training.loop import Descent, descend
from edgeeff.training.request import FinetuneRequest
from edgeeff.training.setting import Setting
from edgeeff.training.swap import comparing

STAGE = "training"
#: Of what is written beside a checkpoint.
KIND = "training"


@dataclass(frozen=True)
class Finetuned:
    """What came of a training.

    Args:
        checkpoint: The file.
        task: What was learnt.
        classes: In the order of the network's outputs.
        scores: On the photos that judge, as the task's own scorer has them.
        history: Of each phase an entry for each epoch.
        warnings: What the user must not miss.
        bundles: What was built of it.
    """

    checkpoint: Path
    task: str
    classes: tuple[str, ...]
    scores: Mapping[str, Any]
    history: Mapping[str, tuple[Mapping[str, Any], ...]]
    warnings: tuple[str, ...]
    bundles: tuple[Judged, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        whole: dict[str, Any] = checkpoint.finite(
            {
                "kind": KIND,
                "schema_version": 1,
                **told,
                "checkpoint": str(self.checkpoint),
                "scores": {name: value for name, value in self.scores.items() if name != "confusion"},
                "per_class": [{"number": i, "label": name} for i, name in enumerate(self.classes)],
                "confusion": self.scores.get("confusion"),
                "bundles": [one.to_json() for one in self.bundles],
            }
        )
        return whole


@recorded
def finetune(
    photos: FinetuneRequest | Path | str,
    /,
    *,
    cache: Cache | None = None,
    progress: Progress | None = None,
    **keywords: Any,
) -> Finetuned:
    """Fit a trained network to labelled photos.

    Args:
        photos: A folder with a subfolder for each class, a list, a data set's YAML; or a whole request.
        cache: Where what is computed is kept; None: the user's.
        progress: Hears what is going on; None: warnings go to Python's ``warnings``.
        keywords: Options of ``edgeeff finetune``: docs/training.md has them.

    Raises:
        EdgeeffError: One of its kinds, for bad input; nothing half-written is left.
    """
    request = photos if isinstance(photos, FinetuneRequest) else FinetuneRequest.of(photos=photos, **keywords)
    context = Context.of(cache, Recorder.of(progress))
    output = request.outcome.output
    checkpoint.refuse_output(output, force=request.outcome.force)
    for target in request.outcome.build:
        load_target(target) if isinstance(target, str) else target
    setting, task = preparing.prepare(request, context)
    session = preparing.begin(setting, task)
    found: dict[str, Descent] = {}
    bookmarks = []
    for phase in session.phases():
        facts = {"phase": phase.name, "own": dict(phase.facts), "before": list(found)}
        bookmark = Bookmark(context.cache, STAGE, key_of(setting=preparing.facts(setting, task), **facts))
        bookmarks.append(bookmark)
        found[phase.name] = descend(
            phase.learner, phase.course, context.progress, doing=phase.doing, bookmark=bookmark
        )
    context.watched.refuse_changed()
    became = getattr(session, "made", None)
    identity = became(setting.source.identity) if became else setting.source.identity
    trained = Trained(
        task,
        identity,
        identity.model if became else preparing.arch(setting),
        setting.preprocess,
        setting.data.classes,
        session.tensors(),
        {**preparing.recipe(setting, task), **session.says()},
        setting.data.negative,
    )
    history = {name: one.history for name, one in found.items()}
    scores = {**session.scored(), **_compared(setting, trained)}
    done = Finetuned(output, task, setting.data.classes, scores, history, tuple(context.progress.warnings))
    checkpoint.write(output, trained, done.to_json())
    for bookmark in bookmarks:
        bookmark.drop()
    score = _score(task, done.scores)
    made = bundles(setting, output, score, context.cache, context.progress)
    return replace(done, bundles=tuple(made), warnings=tuple(context.progress.warnings))


def _compared(setting: Setting, trained: Trained) -> Mapping[str, Any]:
    """Of a swap: both networks on each target."""
    asked = setting.request.swap
    if asked.activation is None or not asked.compare:
        return {}
    return {"targets": comparing.compare(setting, trained.content(), trained.arch, asked.compare)}


def _score(task: str, scores: Mapping[str, Any]) -> float:
    """Of the metric that decides; NaN where nothing was judged."""
    found = scores.get(meanings.room(task).PRIMARY)
    value = found.get("value") if isinstance(found, Mapping) else found
    return float(value) if value is not None else math.nan
