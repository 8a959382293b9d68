"""edgeeff eval: accuracy against labels, against the float network, and against another bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeeff import inference_device
from edgeeff.cli import _masks, console, judgements, on_device, options, recording
from edgeeff.cli._masks import Masks
from edgeeff.cli.groups import grouped

if TYPE_CHECKING:
    from edgeeff.bundle import Bundle
    from edgeeff.device import Device
    from edgeeff.harness.accuracy_report import AccuracyReport
    from edgeeff.images import ImageSet

_FILES = "Files"
_COMPARING = "Comparing two bundles"


@dataclass(frozen=True)
class How(Masks):
    """How bundles are run, and images are read."""

    white: options.White = None
    threshold: Annotated[
        float | None, typer.Option(help="Of a label's probability, instead of the bundle's; for multilabel.")
    ] = None
    via: Annotated[
        str | None,
        typer.Option(help="onnxruntime: judge a TensorRT bundle's ONNX graph in it, not its engine."),
    ] = None
    threads: Annotated[int, typer.Option(min=1, help="Threads of each runtime.")] = 1
    device_name: on_device.DeviceName = None
    model_cache: on_device.ModelCache = False
    root: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the photos that a file of boxes names. Default: where they usually are."
        ),
    ] = None
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew where an earlier run was cut off.")
    ] = False


@dataclass(frozen=True)
class Comparing:
    """What two bundles are held against each other by."""

    against: Annotated[
        Path | None,
        typer.Option(
            help="A bundle that the others are held against, image by image. Of two bundles the second is "
            "held against the first without it.",
            rich_help_panel=_COMPARING,
        ),
    ] = None
    margin: Annotated[
        float | None,
        typer.Option(
            help="The loss of accuracy that is to be excluded, percentage points. Default: 0.5.",
            rich_help_panel=_COMPARING,
        ),
    ] = None


@dataclass(frozen=True)
class Files:
    """What is written."""

    confusion: Annotated[
        Path | None, typer.Option(help="Write the confusion matrices to this .csv.", rich_help_panel=_FILES)
    ] = None
    disagreements: Annotated[
        Path | None,
        typer.Option(
            help="Write all images on which compared bundles disagree to this .csv.", rich_help_panel=_FILES
        ),
    ] = None
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write an HTML report to this file, with images that are decided differently.",
            rich_help_panel=_FILES,
        ),
    ] = None


@recording.stores()
@grouped
def command(
    *,
    bundles: Annotated[list[Path], typer.Argument(help="Bundles to judge, all in one pass over the images.")],
    images: Annotated[
        Path,
        typer.Option(
            "--images",
            "-i",
            help="Folder, list file, .npz, recipe .toml or data set .yaml; of boxes COCO's .json, a VOC "
            "folder or a YOLO .yaml; photos with masks beside.",
        ),
    ],
    reference: Annotated[Path | None, typer.Option(help="A float bundle to hold them against.")] = None,
    how: How,
    comparing: Comparing,
    files: Files,
    device: on_device.Address = None,
    wait: on_device.Wait = 0.0,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Show precision, recall and F1 of each class.")
    ] = False,
    strict: options.Strict = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Judge bundles: top-1, top-5 and F1 against labels, agreement and SQNR against a float bundle.

    A bundle whose runtime is not here is NOT RUN, and the others are judged; status 2 if none is.

    A multilabel bundle: F1 of all labels together and averaged, and mean average precision.

    A detector: mAP, AP50, AP75, by size and by class, and precision and recall at the threshold, by boxes.
    A segmenter: mIoU and the share of pixels that are right, on the masks' own pixels.

    Two bundles are compared image by image: McNemar's test, whether a loss of accuracy is excluded, how many
    images that takes, and the images on which they disagree.

    A run over many images that is cut off goes on where it was when it is started again. With --device images
    are read and scored here, and the board computes; the bundle of --reference runs here if it can.
    """
    from edgeeff.bundle import Bundle

    _refuse_via(how, device)
    inference_device.choose(how.device_name, keep_models=how.model_cache)
    opened = [Bundle.load(path) for path in bundles]
    against = Bundle.load(comparing.against) if comparing.against else None
    pairs = _Pairs(opened, against, comparing.margin, asked=files.disagreements is not None)
    _refuse_files(files, opened)
    held = Bundle.load(reference) if reference else None
    photos = _photos(images, how)
    with on_device.opened(device, wait) as board:
        reports = pairs.compared(_judged(pairs, photos, held, how, board))
    shown = [replace(report, bundle=name) for report, name in zip(reports, pairs.names(), strict=True)]
    _write(shown, files.confusion, files.disagreements)
    if files.html is not None:
        _page(files.html, reports, [*pairs.bundles, *([held] if held else [])], photos)
    warned = _say(reports, as_json=json)
    _show(shown, pairs.note, per_class=per_class, as_json=json)
    return 1 if strict and warned else 0


def _photos(images: Path, how: How) -> ImageSet:
    from edgeeff.recipes import open_to_judge

    found = open_to_judge(images, how.root)
    return how.of(found) if how.given else found


def _refuse_via(how: How, device: str | None) -> None:
    from edgeeff.errors import OptionError

    if how.via is not None and device not in (None, "local"):
        raise OptionError(
            f"--via {how.via} with --device {device}",
            mend="the graph runs on this machine alone: leave one of the two out",
        )


def _judged(
    pairs: _Pairs, images: ImageSet, reference: Bundle | None, how: How, board: Device | None
) -> list[AccuracyReport]:
    from edgeeff.harness import resuming
    from edgeeff.harness.accuracy import evaluate_all

    named = None if pairs.named is None or how.via is not None else pairs.named.on(board)
    for one in (reference if board is None else None, named):
        if one is not None:
            one.session()  # one that is not here is an error of its own, and no bundle's
    with console.ConsoleProgress() as progress:
        return evaluate_all(
            [bundle.on(board) for bundle in pairs.bundles],
            images,
            reference=reference,
            white=how.white,
            threshold=how.threshold,
            threads=how.threads,
            via=how.via,
            progress=progress,
            warn=lambda _: None,
            resume=resuming.Resume(resuming.folder(), anew=how.restart),
        )


def _refuse_files(files: Files, bundles: Sequence[Bundle]) -> None:
    """What a file needs, or cannot hold, is said before the work, not after it."""
    _refuse_unwritable(files)
    _refuse_tables(files, bundles)


def _refuse_unwritable(files: Files) -> None:
    from edgeeff.files import refuse_unwritable

    for path in (files.confusion, files.disagreements):
        if path is not None:
            refuse_unwritable(path.parent)
    if files.html is not None:
        from edgeeff.report import writing

        writing.refuse(files.html)


def _refuse_tables(files: Files, bundles: Sequence[Bundle]) -> None:
    """Of detectors there are no such tables: they would be written without a line.

    Raises:
        OptionError: One was asked for.
    """
    from edgeeff.errors import OptionError

    asked = {"--confusion": files.confusion, "--disagreements": files.disagreements}
    named = [option for option, path in asked.items() if path is not None]
    if named and any(bundle.manifest.detection is not None for bundle in bundles):
        raise OptionError(
            f"{' and '.join(named)}: a detector decides nothing of an image as a whole",
            mend="leave it out; --per-class and --json have each class",
        )
    if files.disagreements is not None and any(bundle.manifest.meaning.by_pixel for bundle in bundles):
        raise OptionError(
            "--disagreements: a segmenter decides of pixels, not of an image as a whole",
            mend="leave it out; --confusion has the pixels of each class, --html the images it errs most on",
        )


class _Pairs:
    """Which bundles are compared with which.

    Args:
        opened: The bundles to judge.
        against: The one that all of them are held against, if one was named.
        margin: Percentage points; None: the default.
        asked: Whether something was asked for that only a comparison gives.

    Raises:
        OptionError: What was asked for has no two bundles that can be compared.
    """

    def __init__(
        self, opened: Sequence[Bundle], against: Bundle | None, margin: float | None, *, asked: bool
    ) -> None:
        from edgeeff.errors import OptionError
        from edgeeff.harness.comparison import MARGIN, obstacle, refuse_margin

        self.margin, self.note = MARGIN if margin is None else margin, ""
        refuse_margin(self.margin)
        self.named = against
        self.bundles, self._old, self._new = [*opened], -1, list[int]()
        if against is not None:
            digest = against.digest()
            same = [i for i, one in enumerate(opened) if one.digest() == digest]
            self._old = same[0] if same else len(opened)
            self.bundles += [] if same else [against]
        elif len(opened) == 2:
            self._old = 0
        elif margin is not None or asked:
            raise OptionError(
                "only two bundles are compared image by image, or all with one that is named",
                mend="name the bundle that the others are held against: --against BUNDLE",
            )
        for number, one in enumerate(opened if self._old >= 0 else ()):
            if number == self._old:
                continue
            reason = obstacle(one, self.bundles[self._old])
            if reason is None:
                self._new.append(number)
            elif against is not None or margin is not None or asked:
                raise reason
            else:
                self.note = f"not compared image by image: {reason.what}"

    def compared(self, reports: Sequence[AccuracyReport]) -> list[AccuracyReport]:
        """The reports, with the comparisons of those that ran."""
        found, names = [*reports], self.names()
        for number in self._new:
            old = reports[self._old]
            if reports[number].not_run is None and old.not_run is None:
                called = (names[number], names[self._old])
                found[number] = reports[number].against(old, self.margin, called)
        return found

    def names(self) -> list[str]:
        """What to call the bundles: by their folders where two have one name, as two builds have."""
        names = [bundle.name for bundle in self.bundles]
        return [
            f"{bundle.name} ({bundle.folder})" if names.count(bundle.name) > 1 else bundle.name
            for bundle in self.bundles
        ]


def _write(reports: Sequence[AccuracyReport], confusion: Path | None, disagreements: Path | None) -> None:
    from edgeeff.files import write_file

    if confusion is not None:
        write_file(confusion, judgements.confusion_csv(reports).encode())
    if disagreements is not None:
        write_file(disagreements, judgements.disagreement_csv(reports).encode())


def _page(path: Path, reports: Sequence[AccuracyReport], bundles: Sequence[Bundle], images: ImageSet) -> None:
    from edgeeff import report
    from edgeeff.files import write_file

    write_file(path, report.of_evaluation(reports, bundles, images).encode())


def _say(reports: Sequence[AccuracyReport], *, as_json: bool) -> bool:
    """Each note and warning once; the reports are stored, and printed as JSON. Whether one was a warning."""
    for note in dict.fromkeys(note for report in reports for note in report.notes):
        console.note(note)
    for warning in dict.fromkeys(text for report in reports for text in report.warnings):
        console.warn(warning)
    data, not_stored = recording.keep([report.to_json() for report in reports])
    if as_json:
        console.as_json(data)
    return bool(not_stored) or any(report.warnings for report in reports)


def _show(reports: Sequence[AccuracyReport], note: str, *, per_class: bool, as_json: bool) -> None:
    """The figures, on standard output where they are not JSON, and a note behind them."""
    if not as_json:
        _show_tables(reports, per_class=per_class)
    if note:
        console.note(note)


def _show_tables(reports: Sequence[AccuracyReport], *, per_class: bool) -> None:
    console.table(judgements.accuracy_table(reports))
    if (boxes := judgements.detection_table(reports)) is not None:
        console.plain("")
        console.table(boxes)
        for line in judgements.detection_lines(reports):
            console.plain(line)
    for line in (*judgements.calibration_lines(reports), *_masks.lines(reports)):
        console.plain(line)
    tables = [judgements.per_class_table(report) for report in reports] if per_class else []
    for made in (judgements.confusion_table(reports), _masks.confusions(reports), *tables):
        if made is not None:
            console.plain("")
            console.table(made)
    for report in reports:
        if report.comparison is not None:
            console.plain("")
            for line in judgements.comparison_lines(report):
                console.plain(line)
    if (made := judgements.disagreement_table(reports)) is not None:
        console.plain("")
        console.table(made)
