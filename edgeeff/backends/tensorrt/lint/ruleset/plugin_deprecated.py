"""TRT111: a plugin that is deprecated."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.plugins import DEPRECATED, EFFICIENT, UNVERIFIED
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT111"
SEVERITY = "warning"
TITLE = "a plugin that is deprecated"
WHY = (
    "EfficientNMS_TRT is deprecated since 10.12, and NVIDIA plans no successor (its README). The sources of "
    "11.1 still have it; whether 11.2 and later do was not verified."
)
MEND = "nothing yet; NonMaxSuppression does the same"
FIRST = DEPRECATED


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for it."""
    for node in view.nodes(EFFICIENT):
        since = f"{EFFICIENT} is deprecated since {DEPRECATED}"
        late = view.version >= UNVERIFIED
        yield view.name(node), f"{since}, and {UNVERIFIED} and later may have none" if late else since
