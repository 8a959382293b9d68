"""Option values that are more than one word or number."""

from __future__ import annotations

from edgeeff.errors import OptionError


def channels(text: str) -> tuple[float, ...]:
    """One value for all channels, or one for each: ``127``, ``123.7,116.3,103.5``."""
    try:
        parts = [float(part) for part in text.split(",")]
    except ValueError:
        parts = []
    if len(parts) not in (1, 3, 4):
        raise OptionError(
            f"{text!r} is not one value, or one for each channel", mend="write 127 or 123.7,116.3,103.5"
        )
    return tuple(parts)


def size(text: str) -> int | tuple[int, int]:
    """A square's side, or height x width: ``224``, ``192x256``."""
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(part.isdigit() for part in parts):
        raise OptionError(f"--size {text!r}", mend="write 224, or 192x256 for height x width")
    return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them: ``stem*,blocks.0``."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise OptionError(f"{text!r} names nothing between two commas", mend="write stem*,blocks.0")
    return found
