"""A bundle that is finished beside the next target: as if one had followed the other."""

from __future__ import annotations

import threading

import pytest

from edgeeff.pipeline import aside
from edgeeff.pipeline.aside import Aside
from edgeeff.progress import Recorder, Silent


class Heard(Silent):
    """A listener that keeps what it hears, and in which threads."""

    def __init__(self):
        self.lines, self.threads = [], set()

    def tell(self, text):
        self.lines.append(text)
        self.threads.add(threading.get_ident())

    def warn(self, text):
        self.tell(f"WARNING {text}")


@pytest.fixture
def heard():
    return Heard()


def finishing(name, wait=None):
    def work(progress):
        progress.tell(f"{name} begins")
        with progress.recording(["general"]) as warned:
            progress.warn("of this one", about=name)
        if wait is not None:
            wait.wait(10)
        progress.tell(f"{name} ends")
        return [*warned]

    return work


def test_what_is_told_beside_is_heard_whole_and_in_order_by_the_main_thread(heard):
    recorder, go = Recorder(heard), threading.Event()
    with Aside(recorder) as beside:
        first = beside.begin("first", finishing("first", go), beside=True)
        recorder.tell("the second is quantised")
        assert heard.lines == ["the second is quantised"]
        go.set()
        second = beside.begin("second", finishing("second"), beside=True)  # takes the first one
        named = "bundle   first, finished meanwhile:"  # the listener is at the second by now
        assert heard.lines[1:] == [named, "first begins", "WARNING first: of this one", "first ends"]
        last = beside.begin("last", finishing("last"), beside=False)
        assert [one.result() for one in (first, second, last)] == [["general", "of this one"]] * 3
    assert heard.lines[5:] == [
        "last begins",
        "WARNING last: of this one",
        "last ends",
        "bundle   second, finished meanwhile:",
        "second begins",
        "WARNING second: of this one",
        "second ends",
    ]
    assert heard.threads == {threading.get_ident()}
    assert recorder.warnings == ("of this one",)


def test_the_error_of_what_was_begun_first_comes_first(heard):
    def fails(progress):
        progress.tell("it fails")
        raise ValueError("of the first")

    with pytest.raises(ValueError, match="of the first"), Aside(Recorder(heard)) as beside:
        beside.begin("first", fails, beside=True)
        raise RuntimeError("of the second")
    assert heard.lines == ["bundle   first, finished meanwhile:", "it fails"]


def test_an_error_waits_for_what_was_begun_before(heard):
    with pytest.raises(RuntimeError), Aside(Recorder(heard)) as beside:
        beside.begin("first", finishing("first"), beside=True)
        raise RuntimeError
    assert heard.lines[-1] == "first ends"


@pytest.mark.parametrize(
    "meets", [lambda progress: progress.tell("never heard"), lambda progress: progress.refuse_stopped()]
)
def test_an_interrupt_ends_it_and_leaves_nothing_running(meets, heard):
    go, ended = threading.Event(), []

    def work(progress):
        try:
            go.wait(10)
            meets(progress)
            ended.append("whole")
        finally:
            ended.append("cleaned up")

    beside = Aside(Recorder(heard))
    made = beside.begin("first", work, beside=True)
    made.stop()
    go.set()
    with pytest.raises(KeyboardInterrupt), beside:
        raise KeyboardInterrupt
    assert ended == ["cleaned up"] and heard.lines == []


def test_on_one_processor_and_for_large_networks_one_follows_the_other(monkeypatch):
    monkeypatch.setattr(aside, "processors", lambda: 2)
    assert aside.worthwhile(20 << 20) and not aside.worthwhile(800 << 20)
    monkeypatch.setattr(aside, "processors", lambda: 1)
    assert not aside.worthwhile(20 << 20)
