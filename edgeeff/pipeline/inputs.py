"""All that a bundle is made from, as one digest: a bundle that stands and has the same is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from edgeeff.cache import key_of
from edgeeff.pipeline import artifact, held_out, stages, verifying
from edgeeff.pipeline.options import Options
from edgeeff.pipeline.plugged import Used
from edgeeff.pipeline.preparing import Classes
from edgeeff.pipeline.stages.drafting import Drafting
from edgeeff.tasks import Meaning


def facts(drafting: Drafting, options: Options, classes: Classes) -> dict[str, Any]:
    """What all bundles of a build are made from, as plain data."""
    calibration = drafting.calibration
    source, images = calibration.network.source, calibration.images
    asked, identity = source.asked, source.identity
    judges = options.golden or options.budget
    return {
        "source": source.digest,
        "model": identity.model,
        "conventions": asdict(identity.conventions) if identity.conventions else None,
        "chosen": [asked.prefix, asked.head, asked.taps],
        "preprocess": calibration.preprocess.to_json(),
        "channels": asked.channels,
        "calibration": images.calibration.digest(),
        "golden": images.validation.digest() if judges else None,
        "labels": [classes.negative, classes.names],
        "classes": held_out.known_digest(images.validation) if options.asks_top_1 else None,
        "meaning": _meaning(drafting.meaning),
        "options": vars(options)
        | {
            "effort": drafting.recipe.to_json(),
            "budget": vars(options.budget) if options.budget else None,
            "plan": options.plan.digest if options.plan else None,
            "tuning": options.tuning.facts() if options.tuning else None,
            "batch": options.batch.to_json(),
            "training": drafting.training.facts() if drafting.training else None,
        },
        "versions": {
            **stages.versions(),
            "artifact": artifact.VERSION,
            "verifying": verifying.VERSION,
        },
    }


def _meaning(meaning: Meaning) -> dict[str, Any]:
    detection = meaning.detection
    return vars(meaning) | {"detection": detection.to_json() if detection else None}


def digest(shared: Mapping[str, Any], used: Used, meaning: Meaning) -> str:
    """The digest of what one target's bundle is made from; ``meaning`` is that of its artifact."""
    return key_of(
        **shared,
        boxes=meaning.detection.where if meaning.detection else None,
        tools=artifact.tool_versions(used),
        plugins=used.facts(),
        target=artifact.target_facts(used.target),
    )
