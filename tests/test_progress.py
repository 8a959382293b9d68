"""Warnings are heard once, and kept wherever they belong."""

from __future__ import annotations

import ast
import logging
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

import edgeeff
from edgeeff.cache import Cache
from edgeeff.errors import EdgeeffWarning, OptionError
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages.stage import Stage, run
from edgeeff.progress import Recorder, Silent, recorded


class Listener(Silent):
    def __init__(self):
        self.heard = []

    def warn(self, text):
        self.heard.append(text)


def test_a_warning_is_heard_once_and_kept_by_every_recording_under_way():
    listener = Listener()
    recorder = Recorder(listener)
    recorder.warn("network")
    with recorder.recording(recorder.warnings) as first:
        recorder.warn("images")
    with recorder.recording(recorder.warnings[:1]) as second:
        recorder.warn("images")
        recorder.warn("network")
        recorder.warn("own")
    assert listener.heard == ["network", "images", "own"]
    assert list(first) == ["network", "images"]
    assert list(second) == ["network", "images", "own"]
    assert recorder.warnings == ("network", "images", "own")


def test_what_concerns_one_bundle_bears_its_name_for_the_listener_alone():
    listener = Listener()
    recorder = Recorder(listener)
    recorder.warn("low", about="a")
    recorder.warn("low", about="b")
    recorder.warn("low", about="b")
    assert listener.heard == ["a: low", "b: low"]
    assert recorder.warnings == ("low",)


def test_stages_and_decisions_are_logged_under_one_name(caplog):
    recorder = Recorder(Listener())
    with caplog.at_level(logging.INFO, "edgeeff"):
        recorder.stage("learning", 3, "steps")
        recorder.tell("learned  100 % of it")
        recorder.warn("low")
    said = [(record.name, record.levelno, record.getMessage()) for record in caplog.records]
    assert said == [
        ("edgeeff", logging.INFO, "learning"),
        ("edgeeff", logging.INFO, "learned  100 % of it"),
    ]
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("edgeeff").handlers)
    named = {
        (path.name, ast.unparse(node.args[0]) if node.args else "")
        for path in Path(edgeeff.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("getLogger")
    }
    # Other packages' are turned down while a library downloads, and while a cluster stands.
    assert named == {
        ("progress.py", "'edgeeff'"),
        ("hub_cache.py", "'huggingface_hub'"),
        ("cluster.py", "name"),
    }


def test_standing_bundles_repeat_what_was_not_heard_yet():
    listener = Listener()
    recorder = Recorder(listener)
    recorder.warn("network")
    recorder.warn("low", about="c")
    recorder.repeat({"network": ["a", "b"], "domain": ["a", "b"], "low": ["b"]})
    assert listener.heard == ["network", "c: low", "a, b: domain", "b: low"]


def test_what_is_taken_from_the_cache_warns_as_it_did_when_it_was_made(tmp_path):
    cache = Cache(tmp_path)

    def make():
        outer.warn("partial")
        return {"x": b"1"}

    outer = Recorder(Listener())
    stage = Stage("stage", 1, (), {"of": "a"}, make, encode=dict, decode=lambda parts: {"x": parts["x"]})
    first = run(stage, Context.of(cache, outer))
    later = Recorder(Listener())
    assert run(replace(stage, make=pytest.fail), Context.of(cache, later)) == first
    assert outer.warnings == later.warnings == ("partial",)


def test_without_a_listener_a_warning_is_python_s_and_points_at_the_caller():
    with pytest.warns(EdgeeffWarning, match="^network$") as found:
        Recorder(None).warn("network")
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Recorder(Silent()).warn("network")  # a listener that forgets it is a listener


def test_an_error_bears_what_was_warned_of_before_it():
    @recorded
    def fail(progress=None):
        progress.warn("images")
        raise OptionError("no", mend="yes")

    with pytest.raises(OptionError) as error:
        fail(progress=Listener())
    assert error.value.warnings == ("images",)
