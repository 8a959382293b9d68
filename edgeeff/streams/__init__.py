"""Frames that come one after the other: of video files, cameras, servers, pipelines and pipes.

:func:`open_source` opens whatever gives frames. Its kinds are the files of :mod:`edgeeff.streams.kinds`.
"""

from edgeeff.streams.frame import Frame
from edgeeff.streams.kinds.video import SUFFIXES, frames
from edgeeff.streams.opening import is_stream, is_video, open_source
from edgeeff.streams.source import Source
from edgeeff.streams.tally import Tally

__all__ = ["SUFFIXES", "Frame", "Source", "Tally", "frames", "is_stream", "is_video", "open_source"]
