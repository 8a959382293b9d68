"""Memory that runs out is said as such, at which step, and blames no file and no runtime."""

from __future__ import annotations

import errno
import re

import pytest
from google.protobuf.message import EncodeError

from edgeeff import shortage
from edgeeff.errors import BundleError, CheckpointError, EdgeeffError, OutOfMemoryError
from edgeeff.progress import Progress, recorded


@recorded
def work(error: Exception, blame: type[EdgeeffError] | None = None, progress: Progress | None = None) -> None:
    """Fail in the middle of a step, perhaps with an error of ours in place of the library's."""
    assert progress is not None
    progress.warn("something else")
    progress.stage("calibrating")
    try:
        raise error
    except Exception as found:
        if blame is None:
            raise
        raise blame(f"it is damaged: {found}", mend="build the bundle again") from None


SHORT = {
    "Python": MemoryError(),
    "numpy": MemoryError("Unable to allocate 4.00 GiB for an array"),
    "torch": RuntimeError(
        "[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    ),
    "oneDNN": RuntimeError("could not create a primitive"),
    "OpenVINO": RuntimeError("Exception from src/inference: std::bad_alloc"),
    "the system": OSError(errno.ENOMEM, "Cannot allocate memory"),
    "the linker": ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    "protobuf": EncodeError("Failed to serialize proto"),
    "threads": RuntimeError("can't start new thread"),
}


@pytest.mark.parametrize("blame", [None, BundleError, CheckpointError])
@pytest.mark.parametrize("who", SHORT)
def test_whoever_says_it(who, blame):
    with pytest.raises(OutOfMemoryError, match="memory ran out while calibrating") as caught:
        work(SHORT[who], blame)
    assert caught.value.warnings == ("something else",)
    assert "--size" in caught.value.mend and caught.value.exit_status == 2


@pytest.mark.parametrize(
    "error",
    [
        CheckpointError("the file net.bad_alloc.pt is damaged", mend="-"),  # a name is no message
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error), match=re.escape(str(error).splitlines()[0])):
        work(error)
    with pytest.raises(type(error)), shortage.told("judging", "-"):
        raise error


def test_a_process_that_died_of_it():
    assert shortage.told_in("terminate called after throwing an instance of 'std::bad_alloc'\n  what(): x")
    assert not shortage.told_in("Segmentation fault")
