"""MediaPipe itself, in an environment of its own (``make test-mediapipe``): it brings OpenCV and Matplotlib.

Without that environment the tests of this tier are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent
VENV = Path(os.environ.get("EDGEEFF_MEDIAPIPE", HERE.parents[1] / ".venv-mediapipe"))


@pytest.fixture(scope="session")
def mediapipe() -> Callable[..., Any]:
    """``mediapipe(task, model, pixels, **options)``: what its task makes of each image uint8 [H, W, 3].

    Returns:
        What ``load.py`` prints, or the text of MediaPipe's error.
    """
    python = VENV / "bin" / "python"
    if not python.exists():
        pytest.skip(f"NOT RUN: {VENV} has no MediaPipe (make test-mediapipe)")

    def run(task: str, model: Path, pixels: np.ndarray, **options: Any) -> Any:
        asked = {"task": task, "model": str(model), "options": options, "shape": pixels.shape}
        done = subprocess.run(
            [python, HERE / "load.py", json.dumps(asked)],
            input=np.ascontiguousarray(pixels).tobytes(),
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        return json.loads(done.stdout)

    return run
