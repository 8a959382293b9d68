"""What the stages of one build share: the cache, the listener, and what was said and held so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from edgeeff.cache import Cache
from edgeeff.progress import Progress, Recorder
from edgeeff.watched import Watched


@dataclass(frozen=True)
class Context:
    """One build's surroundings.

    Args:
        cache: Where results of stages are kept. It watches the files that this build reads.
        progress: Hears what is going on. Every warning goes through it, and so into ``Built.warnings``.
        held: Results that only this build can use, with what making them warned of, by stage and key.
    """

    cache: Cache
    progress: Recorder
    held: dict[tuple[str, str], tuple[Any, tuple[str, ...]]] = field(default_factory=dict, repr=False)
    _said: set[str] = field(default_factory=set, repr=False)

    @classmethod
    def of(cls, cache: Cache | None = None, progress: Progress | None = None) -> Context:
        """A context with nothing watched yet; without ``cache`` that of the user."""
        return cls(replace(cache or Cache.default(), watched=Watched()), Recorder.of(progress))

    @property
    def watched(self) -> Watched:
        """The files that this build reads, with their stamps from before it read them."""
        return self.cache.watched

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings so far, in order."""
        return self.progress.warnings

    def say_once(self, line: str) -> None:
        """Tell the listener something that several targets may have to say."""
        if line not in self._said:
            self._said.add(line)
            self.progress.tell(line)

    def warn(self, text: str, about: str | None = None) -> None:
        """Warn of something; ``about`` names the one bundle that it concerns."""
        self.progress.warn(text, about=about)

    def warn_all(self, texts: Iterable[str], about: str | None = None) -> None:
        """Warn of each of several things."""
        for text in texts:
            self.warn(text, about=about)
