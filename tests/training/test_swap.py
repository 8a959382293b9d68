"""A network learns another activation from photos without labels, and its checkpoint says which."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeeff import cli
from edgeeff.cache import Cache
from edgeeff.errors import CheckpointError, EdgeeffWarning, OptionError, TrainingError
from edgeeff.progress import Silent
from edgeeff.training import loop
from edgeeff.training.finetune import finetune
from edgeeff.training.swap import comparing, networks
from edgeeff.zoo import catalog, checkpoints, efficientnet

from .conftest import photo

#: Seven blocks of a few channels, with Swish and squeeze-and-excite.
SWISH = "b:width=0.25,depth=0.2,size=64"


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos without labels, in one folder."""
    folder = tmp_path_factory.mktemp("flat")
    for number in range(16):
        photo(number % 3, number).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, flat: Path) -> Path:
    """A checkpoint of a network whose batch normalisation knows such photos."""
    torch.manual_seed(0)
    module = efficientnet.build(catalog.classifier(SWISH), 5, (64, 64))
    images = np.stack([np.asarray(photo(i % 3, i).resize((64, 64))) for i in range(16)])
    x = (torch.from_numpy(images).permute(0, 3, 1, 2) - 120) / 58
    norms = [one for one in module.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        module(x)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    torch.save({"state_dict": module.state_dict(), "classes": list("abcde")}, path)
    return path


def swap(flat: Path, network: Path, output: Path, **options):
    options = {"activation": "hardswish", "compare": ("none",), "epochs": 4, "batch": 12, **options}
    options = {"model": SWISH, "validation": flat, "rate": 0.01, "average": 0.5, "augment": "none", **options}
    return finetune(flat, checkpoint=str(network), output=output, progress=Silent(), **options)


def test_a_network_learns_another_activation(flat, network, tmp_path):
    found = swap(flat, network, tmp_path / "best.pt")
    first, last = found.history["blocks"][0], found.history["whole"][-1]
    assert found.scores["experimental"] and found.scores["activation"] == "hardswish"
    assert last["sqnr_db"] > first["sqnr_db"] + 1
    assert found.scores["float"]["sqnr_centred_db"] == pytest.approx(
        max(entry["sqnr_db"] for entry in found.history["whole"]), abs=1e-3
    )
    assert "before" not in found.scores["float"]  # no labels, no top-1
    checkpoint = checkpoints.read(tmp_path / "best.pt", f"{SWISH}-hardswish")
    assert checkpoint.labels == tuple("abcde")
    assert torch.load(tmp_path / "best.pt", weights_only=True)["arch"] == f"{SWISH}-hardswish"
    student = checkpoint.network((64, 64))
    assert student.stem.activation is efficientnet.ACTIVATIONS["hardswish"]
    teacher = checkpoints.read(network, SWISH).network((64, 64))
    assert not torch.equal(teacher.stem.conv.weight, student.stem.conv.weight)
    told = json.loads((tmp_path / "best.training.json").read_text())
    assert told["scores"] == found.scores


def test_a_plain_network_is_not_taken_for_the_swapped_one(flat, network, tmp_path):
    swap(flat, network, tmp_path / "best.pt", epochs=1)
    with pytest.raises(CheckpointError, match=r"is a checkpoint of .*-hardswish, and --model"):
        checkpoints.read(tmp_path / "best.pt", SWISH)
    with pytest.raises(OptionError, match="which the network has already"):
        swap(flat, tmp_path / "best.pt", tmp_path / "again.pt", model=None)
    back = swap(flat, tmp_path / "best.pt", tmp_path / "other.pt", model=None, activation="relu6", epochs=1)
    assert torch.load(back.checkpoint, weights_only=True)["arch"] == "b-w0.25-d0.2-64-relu6"


@pytest.mark.slow
def test_labels_judge_where_they_are_the_networks_own(network, tmp_path):
    images = np.stack([np.asarray(photo(i % 3, i).resize((64, 64))) for i in range(16)])
    np.savez(tmp_path / "photos.npz", images=images, labels=np.arange(16) % 3)
    found = swap(tmp_path / "photos.npz", network, tmp_path / "a.pt", epochs=1, validation=None)
    assert {"before", "after"} <= found.scores["float"].keys()
    assert found.scores["float"]["photos"] == 3
    np.savez(tmp_path / "other.npz", images=images, labels=np.arange(16))  # of another set
    found = swap(
        tmp_path / "photos.npz", network, tmp_path / "b.pt", epochs=1, validation=tmp_path / "other.npz"
    )
    assert "before" not in found.scores["float"]


@pytest.mark.slow
def test_photos_that_are_held_out_are_warned_of(flat, network, tmp_path):
    with pytest.warns(EdgeeffWarning, match="3 of 16 are held out"):
        finetune(
            *(flat,),
            **{"model": SWISH, "checkpoint": str(network), "activation": "relu6", "epochs": 1},
            **{"output": tmp_path / "best.pt", "compare": ("none",), "batch": 8},
        )


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"activation": "mish"}, OptionError, "--activation mish"),
        ({"compare": ("nowhere",)}, Exception, "nowhere"),
        ({"task": "detection"}, OptionError, "--task detection with --activation"),
    ],
)
def test_what_cannot_be_swapped(options, error, says, flat, network, tmp_path):
    with pytest.raises(error, match=says):
        swap(flat, network, tmp_path / "best.pt", **options)
    assert not (tmp_path / "best.pt").exists()


def test_networks_and_photos_that_cannot_be_swapped(flat, network, tmp_path):
    held = torch.load(network, weights_only=True)
    state = dict(held["state_dict"])
    width = state["classifier.weight"].shape[1]
    state |= {"hidden.0.weight": torch.eye(width), "hidden.0.bias": torch.zeros(width)}
    torch.save({"state_dict": state}, tmp_path / "hidden.pt")
    with pytest.raises(CheckpointError, match="has hidden layers"):
        swap(flat, tmp_path / "hidden.pt", tmp_path / "best.pt", head="linear,relu,linear")
    for number in range(3):
        (tmp_path / "few").mkdir(exist_ok=True)
        photo(0, number).save(tmp_path / "few" / f"{number}.png")
    with pytest.raises(TrainingError, match="3 photos to learn from"):
        swap(tmp_path / "few", network, tmp_path / "best.pt")


def test_what_is_slower_for_sure_is_warned_of():
    for interval, slower in (((1.9, 2.3), 2.1), ((0.9, 1.2), None), (None, None)):
        found = {"ratio": {"value": 2.1, "interval": interval}}
        assert comparing._slower(found) == slower
    assert comparing._slower({"not_run": "no runtime"}) is None


def test_parts_of_a_batch_are_bounded_by_the_network():
    small = efficientnet.build(catalog.classifier(SWISH), 5, (64, 64))
    assert networks.images_of_a_part(small, (64, 64)) == 8
    with torch.device("meta"):
        large = efficientnet.build(catalog.classifier("b4"), 5, (380, 380))
        assert networks.images_of_a_part(large, (380, 380)) == 1


class _Killed(BaseException):
    pass


@pytest.mark.slow
def test_a_swap_that_is_killed_ends_at_the_same_bytes(flat, network, tmp_path, monkeypatch):
    options = {"epochs": 2, "augment": "slight"}
    swap(flat, network, tmp_path / "whole.pt", **options, cache=Cache(tmp_path / "other"))
    monkeypatch.setattr(loop, "KEPT_EVERY", 0.0)
    step = loop._Run._step
    kills = (1, 3, 1, 2)  # of four steps of the blocks; then of the whole's

    def killed(self, batch, epoch, taken, *rest, **more):
        if taken == at:
            raise _Killed
        return step(self, batch, epoch, taken, *rest, **more)

    monkeypatch.setattr(loop._Run, "_step", killed)
    for at in kills:  # noqa: B007 - read by the step
        with pytest.raises(_Killed):
            swap(flat, network, tmp_path / "parts.pt", **options)
    monkeypatch.setattr(loop._Run, "_step", step)
    swap(flat, network, tmp_path / "parts.pt", **options)
    assert (tmp_path / "parts.pt").read_bytes() == (tmp_path / "whole.pt").read_bytes()


@pytest.mark.slow
def test_both_are_compared_on_a_target(flat, network, tmp_path, capsys):
    found = swap(flat, network, tmp_path / "best.pt", epochs=1, compare=("cpu-int8",))
    target = found.scores["targets"]["cpu-int8"]
    assert target["ratio"]["value"] > 0
    assert target["before"]["agreement"]["value"] > target["after"]["agreement"]["value"] - 0.5
    capsys.readouterr()
    arguments = [f"--checkpoint={network}", f"--model={SWISH}", f"--validation={flat}", "--compare=cpu-int8"]
    with pytest.raises(SystemExit):
        cli.main(["finetune", str(flat), *arguments, "--activation=hardswish", f"-o{tmp_path / 'cli.pt'}"])
    shown = capsys.readouterr().out
    assert "experimental" in shown and "cpu-int8" in shown
    table = shown.partition("next:")[0].splitlines()[1:]  # the first line is the checkpoint's path
    assert max(map(len, table)) < 80
    first = [line.split()[0] for line in table if line.strip()]
    assert first.index("float") + 2 == first.index("cpu-int8") and first.count("after") == 2
