"""What a build writes and a device reads.

A bundle is a folder: ``manifest.json`` seals every other file by its SHA-256, except those below
``measured/``, which hold what was found out about the bundle afterwards.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from numbers import Integral
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from edgeeff import backends, digests, inference_device, regular, shortage, tasks, text
from edgeeff.device import Device
from edgeeff.errors import BundleError, MissingFileError, MissingRuntimeError, OptionError, OutputError
from edgeeff.files import (
    TEMPORARY,
    refuse_links,
    scratch_folder,
    sweep_files,
    write_file,
    write_folder,
    writing,
)
from edgeeff.images import held
from edgeeff.images.held import Held
from edgeeff.manifest import MANIFEST as MANIFEST
from edgeeff.manifest import Manifest as Manifest
from edgeeff.manifest import read_manifest as read_manifest
from edgeeff.plugins import not_installed
from edgeeff.predictor import Predictor
from edgeeff.progress import PythonWarnings
from edgeeff.tasks import Naming, only
from edgeeff.verification import is_report

MEASURED = "measured"
VERIFICATION = "verification.json"
_LARGEST_MEASURED = 64 << 20  # bytes; the largest has the names of some thousand layers and images


class _Loaded:
    """Sessions that are kept; a copy of a bundle, in another process too, has none yet."""

    def __init__(self) -> None:
        self.sessions: dict[int, backends.Session] = {}
        self.lock = Lock()

    def __reduce__(self) -> tuple[type[_Loaded], tuple[()]]:
        return _Loaded, ()


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk, run on this machine, or on a board (:meth:`on`)."""

    folder: Path
    manifest: Manifest
    #: Where it runs; None: on this machine.
    device: Device | None = field(default=None, repr=False, compare=False)
    #: What ``predict`` loaded, by the number of threads, and the lock that its calls take turns by.
    _loaded: _Loaded = field(default_factory=_Loaded, init=False, repr=False, compare=False)

    @classmethod
    def load(cls, path: Path | str) -> Bundle:
        """Read a bundle's manifest.

        Raises:
            MissingFileError: There is no such folder.
            BundleError: It is not a bundle, or one of another schema.
        """
        folder = Path(path)
        if not regular.is_folder(folder):
            raise MissingFileError(f"no bundle {folder}", mend="pass a folder that `edgeeff build` wrote")
        return cls(folder, read_manifest(folder))

    def on(self, device: Device | None) -> Bundle:
        """The same bundle, run on a board; None: on this machine. What it has loaded stays with this one."""
        return replace(self, device=device)

    @property
    def name(self) -> str:
        """``<model>-<target>``, or what ``--name`` said."""
        return self.manifest.name

    def digest(self) -> str:
        """SHA-256 of ``manifest.json``, and so of the whole bundle: the manifest holds that of each file."""
        return _seal(self.folder / MANIFEST)

    @property
    def runtime(self) -> backends.Runtime:
        """The facts of its runtime.

        Raises:
            PluginError: The runtime is a plug-in's that is not installed, or that cannot be used.
            UnknownTargetError: There is no such runtime.
        """
        name, by = self.manifest.runtime, self.manifest.plugins.get("runtime")
        here = backends.RUNTIMES.plugin(name)
        if by is not None and (here is None or here.distribution != by.partition(" ")[0]):
            raise backends.RUNTIMES.refusal(name) or not_installed(self.folder, "runtime", name, by)
        return backends.runtime(name)

    def plugin_warnings(self) -> list[str]:
        """A sentence for each plug-in that is disabled: its name is that of this bundle's runtime or task."""
        troubles = backends.RUNTIMES.refused([self.manifest.runtime])
        return [trouble.text for trouble in (*troubles, *tasks.TASKS.refused([self.manifest.task]))]

    def altered(self) -> list[str]:
        """The sealed files that are missing or no longer what the manifest says."""
        return [name for name, seal in self.manifest.files.items() if _seal(self.folder / name) != seal]

    def session(self, threads: int = 1, *, checked: bool = False) -> backends.Session:
        """Load the artifact into its runtime.

        Args:
            threads: Of the runtime.
            checked: Its files were held against their seals a moment ago (:meth:`refuse_altered`).

        Raises:
            MissingRuntimeError: The runtime is not installed, or needs a device that is not here.
            BundleError: A sealed file was altered.
            DeviceError: It runs on a board that cannot be reached, or cannot hold it.
        """
        if not checked:
            self.refuse_altered()
        if self.device is not None:
            if inference_device.named() != inference_device.CPU:
                raise OptionError(
                    f"--device-name {inference_device.named()} for {self.device.name}",
                    mend="leave out one of --device and --device-name: on a board bundles run on its CPU",
                )
            self._refuse_properties()
            self.refuse_unpushable()
            return self.device.session(self.folder, threads=threads)
        session: backends.Session = self._load("run", threads)
        return session

    def refuse_unpushable(self) -> None:
        """Refuse a bundle whose runtime has no part that can be sent to a board.

        Raises:
            MissingRuntimeError: It is a plug-in's, or one that runs where it was built alone.
        """
        runtime = self.runtime
        if runtime.plugin is not None or not runtime.offers("onboard"):
            able = [name for name in backends.runtime_names() if backends.runtime(name).offers("onboard")]
            raise MissingRuntimeError(
                f"{self.name}: the runtime {runtime.name} has no part that is sent to a board",
                mend=f"run it on this machine, or install edgeeff there; on a board run {', '.join(able)}",
            )

    def queue(self, threads: int, requests: int) -> Any:
        """Load the artifact for several runs at once, where its runtime does that itself; else None.

        Its files were held against their seals before (:meth:`refuse_altered`).

        Raises:
            MissingRuntimeError: The runtime is not installed, or needs a device that is not here.
            BundleError: The artifact cannot be loaded.
        """
        self._refuse_device("a queue of its runs is kept")
        return self._load("run", threads, "load_queue", requests=requests) if self.queues else None

    @property
    def queues(self) -> bool:
        """Whether its runtime keeps several runs in flight itself; on this machine it must be installed."""
        part = self.runtime.part("run") if self.device is None else self.runtime.onboard()
        return getattr(part, "load_queue", None) is not None

    def open(
        self,
        *,
        threads: int = 1,
        top: int | None = None,
        threshold: float | None = None,
        white: float | None = None,
    ) -> Predictor:
        """Load the artifact to ask it for each frame: ``with bundle.open() as predict: predict(frame)``.

        Its files are checked and it is compiled once, here.

        Args:
            threads: Of the runtime.
            top: Classes to name at most; None: 3, and of a multilabel network all labels that are there.
            threshold: Of a label's probability, instead of the bundle's; for multilabel.
            white: The value that is white in images of more than 8 bits, instead of the bundle's.

        Raises:
            MissingRuntimeError: The runtime is not installed, or needs a device that is not here.
            BundleError: A sealed file was altered.
            OptionError: The task has no threshold, or it is no probability; fewer than one thread or name.
        """
        for name, value in (("threads", threads), ("top", top)):
            whole = isinstance(value, Integral) and not isinstance(value, bool)
            if value is not None and not (whole and value > 0):
                raise OptionError(f"{name} is {value!r}", mend="give a whole number, 1 or more")
        meaning = self.manifest.meaning.with_threshold(threshold)
        return Predictor(
            self.name,
            self.session(threads),
            self.manifest.preprocess.with_white(white),
            meaning,
            Naming(self.manifest.labels, self.manifest.absent, top),
            PythonWarnings().warn,
            self.manifest.batch.size,
        )

    def graph_session(self, threads: int = 1) -> tuple[str, backends.Session] | None:
        """The bundle's own ONNX graph in onnxruntime, computed as it is written, and its file's name.

        So a TensorRT bundle is judged where no engine runs. Of a detector that makes boxes it is the graph
        without them. None: the bundle holds no such graph.

        Raises:
            MissingRuntimeError: onnxruntime is not installed.
            BundleError: A sealed file was altered.
        """
        self._refuse_device("onnxruntime computes its graph")
        kind = "qdq" if self.manifest.precision == "int8" else "float"
        names = ("model.raw.onnx", f"model.{kind}.onnx", f"model.{kind}.fp16.onnx")
        graphs = [name for name in names if name in self.manifest.files]
        if not graphs:
            return None
        self.refuse_altered()
        part = backends.runtime("onnxruntime").part("run")
        preprocess, content = self.manifest.preprocess, (self.folder / graphs[0]).read_bytes()
        session = part.session_of(
            *(content, preprocess, self.manifest.input, threads),
            literal=True,
            # A graph without boxes, where the artifact makes them, has its own outputs.
            outputs=None if graphs[0] == names[0] else self.output_names,
            path=self.folder / graphs[0],
        )
        return graphs[0], session

    def profiled_session(self, threads: int = 1) -> backends.ProfiledSession:
        """The same, with the time of each layer.

        Raises:
            MissingRuntimeError: The runtime is not installed, or tells no times of layers.
            BundleError: A sealed file was altered.
        """
        self._refuse_device("the times of its layers are taken")
        runtime = self.runtime
        if not runtime.offers("profile"):
            timed = [n for n in backends.runtime_names() if backends.runtime(n).offers("profile")]
            raise MissingRuntimeError(
                runtime.no_profile, mend=f"profile a bundle of another runtime: {', '.join(timed)}"
            )
        self.refuse_altered()
        session: backends.ProfiledSession = self._load("profile", threads)
        return session

    def refuse_altered(self) -> None:
        """Hold its files against their seals.

        Raises:
            BundleError: A sealed file was altered.
        """
        altered = self.altered()
        if altered:
            raise BundleError(
                f"{self.folder}: {', '.join(altered)} does not have the manifest's SHA-256",
                mend="copy the bundle again, or build it again",
            )

    def _refuse_device(self, what: str) -> None:
        """Refuse what is done on this machine alone, for a bundle that runs on a board.

        Raises:
            OptionError: It does.
        """
        if self.device is not None:
            raise OptionError(
                f"{self.name} runs on {self.device.name}, and {what} on this machine alone",
                mend="leave out --device for this",
            )

    def _refuse_properties(self) -> None:
        """The manifest is not sealed, and some runtimes write files where a property says."""
        if wrong := self.runtime.unknown_property(self.manifest.runtime_properties):
            raise BundleError(f"{self.folder / MANIFEST}: {wrong}", mend="build the bundle again")

    def _load(self, part: backends.Part, threads: int, by: str = "load", **more: Any) -> Any:
        self._refuse_properties()
        self._refuse_named_device(part)
        loaded = self.runtime.part(part)
        with shortage.told(f"loading {self.folder}", shortage.RUNNING):
            session = getattr(loaded, by)(
                self.folder,
                preprocess=self.manifest.preprocess,
                input_type=self.manifest.input,
                properties=self.manifest.runtime_properties,
                threads=threads,
                outputs=self.output_names,
                **more,
            )
            if by != "load":
                return session
            session = self.runtime.session(session, self.output_names)
        said, own = self.manifest.batch, getattr(session, "batch", self.manifest.batch)
        if said.dynamic != own.dynamic or (not own.dynamic and said != own):
            raise BundleError(
                f"{self.folder}: its artifact takes {own} images in a run, its manifest says {said}",
                mend="copy the whole bundle, or build it again",
            )
        return session

    def _refuse_named_device(self, part: backends.Part) -> None:
        """Refuse a device for a runtime that is told none, and a profile of another than the CPU.

        Raises:
            OptionError: ``--device-name`` names one.
        """
        name = inference_device.named()
        if name == inference_device.CPU:
            return
        if not self.runtime.devices:
            able = [n for n in backends.runtime_names() if backends.runtime(n).devices]
            raise OptionError(
                f"--device-name {name}: {self.name} runs by {self.runtime.name}, which is told no device",
                mend=f"leave it out; it is for bundles of {', '.join(able)}",
            )
        if part == "profile":
            raise OptionError(
                f"a profile on {name}: layers are told apart by the CPU's kernels",
                mend="leave out --device-name for a profile",
            )

    @property
    def output_names(self) -> tuple[str, ...]:
        """Of the artifact; none where it has one whose name is not known."""
        return tuple(output.name for output in self.manifest.outputs)

    def check(self) -> backends.CheckReport:
        """Ask the runtime what it made of the artifact: precisions, kernels, fallbacks.

        Raises:
            BundleError: Its manifest sets a property that the runtime is not given.
        """
        self._refuse_device("what its runtime made of it is found out")
        self._refuse_properties()
        part = self.runtime.part("check")
        report = part.check(self.folder, properties=self.manifest.runtime_properties)
        plugin = self.runtime.plugin
        if plugin is not None and not isinstance(report, backends.CheckReport):
            raise plugin.failed(f"check gives no CheckReport but {type(report).__name__}")
        found: backends.CheckReport = report
        return found

    def predict(self, images: Held, *, threads: int = 1) -> backends.Logits:
        """Logits float32 [N, classes] of raw pixels, Pillow's images, files, folders, or a list of them.

        Of a network with one output, whatever it is, [N, …]. The artifact is loaded at the first call and
        kept; :meth:`open` says what the numbers mean.

        Args:
            images: Raw pixels uint8 [N, H, W, C] or [H, W, C], RGB and of the network's size; or what is
                fitted to it: a Pillow image, the path of an image, a folder or a list; or a list of these.
            threads: Of the runtime.

        Raises:
            ImageError: An image cannot be decoded, or pixels are not uint8 or not of the network's size.
            MissingFileError: There is no such file.
            OptionError: The bundle has several outputs.
        """
        if len(self.manifest.outputs) > 1:
            raise OptionError(
                f"{self.name} has the outputs {', '.join(self.output_names)}, and predict gives one array",
                mend="take them by name: with bundle.open() as predict: predict(image).outputs",
            )
        at_a_time = held.whole_runs(self.manifest.batch.size)
        batches = held.batches(images, self.manifest.preprocess, PythonWarnings().warn, at_a_time)
        first = next(batches)  # bad input is refused before the artifact is loaded
        with self._loaded.lock:
            session = self._loaded.sessions.get(threads) or self.session(threads)
            self._loaded.sessions[threads] = session
            return np.concatenate([only(session.infer(pixels)) for pixels, _ in chain([first], batches)])

    def read_measured(self, name: str) -> dict[str, Any] | None:
        """A file of ``measured/`` as JSON; None where there is none, or it is no JSON object."""
        try:
            found = text.read_json(self.folder / MEASURED / name, BundleError, _LARGEST_MEASURED)
        except BundleError:
            return None
        return found if isinstance(found, dict) else None

    def verification(self) -> tuple[dict[str, Any] | None, str | None]:
        """What the build found out of the bundle, and a warning if that cannot be read.

        The file is not sealed: what is not of the form that a build writes counts as not there.
        """
        if not os.path.lexists(self.folder / MEASURED / VERIFICATION):
            return None, None
        found = self.read_measured(VERIFICATION)
        if found is not None and is_report(found):
            return found, None
        return None, (
            f"{self.folder / MEASURED / VERIFICATION} is damaged, or not as a build writes it: the bundle "
            "counts as not verified; build it again"
        )

    def write_measured(self, name: str, data: Mapping[str, Any]) -> None:
        """Put what was measured beside the sealed files."""
        refuse_links(self.folder, MEASURED)
        write_file(self.folder / MEASURED / name, _json(data))
        sweep_files(self.folder / MEASURED)


def is_ours(folder: Path) -> bool:
    """Whether the folder may be replaced: it holds a manifest of ours, or nothing at all.

    Looked at more than once, because another build may be putting its own bundle there.
    """
    for _ in range(3):
        with suppress(BundleError):
            read_manifest(folder)
            return True
        with suppress(FileNotFoundError):
            if not folder.is_dir() or any(folder.iterdir()):
                continue
        return True
    return not folder.exists()


def write_bundle(
    folder: Path,
    manifest: Manifest,
    files: Mapping[str, bytes],
    measure: Callable[[Bundle], Mapping[str, Mapping[str, Any] | bytes]] | None = None,
) -> Bundle:
    """Write a bundle whole, or not at all.

    Args:
        folder: Where it will stand; an older bundle of ours there is replaced.
        manifest: The manifest; its ``files`` are filled in here.
        files: The sealed files, by their path below the bundle.
        measure: Called with the bundle in its temporary place, returning the files of ``measured/``, as
            bytes or as what becomes JSON; an exception leaves nothing behind.

    Raises:
        OutputError: The folder is not ours, or the disk is full or cannot be written.
    """
    refuse_links(folder.parent, folder.name)
    if folder.exists() and not is_ours(folder):
        raise OutputError(
            f"{folder} is there and is not a bundle of ours",
            mend="move it away, or choose another folder with -o",
        )
    seals = {name: digests.of_bytes(content) for name, content in files.items()}
    manifest = Manifest(**{**vars(manifest), "files": seals})
    with scratch_folder(folder.parent) as scratch:
        staged = scratch / folder.name
        write_folder(staged, {**files, MANIFEST: manifest.to_json().encode()})
        found = measure(Bundle(staged, manifest)) if measure else {}
        write_folder(
            staged,
            {
                f"{MEASURED}/{n}": data if isinstance(data, bytes) else _json(data)
                for n, data in found.items()
            },
        )
        with writing(folder):
            _move_in(staged, folder, scratch)
    return Bundle(folder, manifest)


def _move_in(staged: Path, folder: Path, scratch: Path) -> None:
    """Rename the staged folder to its place, moving an older one aside; another build may do so too."""
    for attempt in range(100):
        try:
            staged.rename(folder)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        # Renamed into our scratch folder, the old bundle goes when that goes.
        with suppress(FileNotFoundError):
            folder.rename(scratch / f"{TEMPORARY}replaced-{attempt}")
    raise OSError(None, "another process keeps writing there")


def _json(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _seal(path: Path) -> str:
    return digests.of_regular_file(path) or "missing"
