"""What a device's ``verify.json`` says, as a report with a record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from edgeeff.bundle import Bundle
from edgeeff.harness.commit import current
from edgeeff.harness.record import Record, about


def report(result: Mapping[str, Any], bundle: Bundle) -> dict[str, Any]:
    """The report of one result; the same result has the same run.

    Args:
        result: The JSON of a :class:`~edgeeff.backends.tensorrt.device_result.DeviceResult`, checked.
        bundle: What it is of.
    """
    text = json.dumps(result, sort_keys=True, ensure_ascii=True)
    measured = datetime.fromisoformat(str(result["measured_at"]).replace("Z", "+00:00"))
    environment = {
        "board": result["board"],
        "compute_capability": result["compute_capability"],
        "governor": result["clocks"]["power_mode"],
        "turbo": result["clocks"]["pinned"],
        "versions": {"tensorrt": result["tensorrt"], "l4t": result["l4t"]},
    }
    record = Record(
        "device",
        {bundle.name: bundle.digest()},
        environment,
        run_id=result["run_id"] or hashlib.sha256(text.encode()).hexdigest()[:32],
        utc=measured.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        about={bundle.name: about(bundle)},
        commit=current(),
    )
    return {"result": dict(result), "record": record.to_json()}
