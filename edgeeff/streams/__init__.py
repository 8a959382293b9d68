"""Frames that come one after the other: of a video file or a camera."""

from edgeeff.streams.video import CAMERA, SUFFIXES, Frame, Tally, frames, is_video

__all__ = ["CAMERA", "SUFFIXES", "Frame", "Tally", "frames", "is_video"]
