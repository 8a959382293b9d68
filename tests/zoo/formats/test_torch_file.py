"""Training checkpoints as they lie around: the network is found, and what is said of it beside."""

from __future__ import annotations

import argparse
import collections
import datetime
import pathlib
import types

import numpy as np
import pytest
import torch

from edgeeff.zoo import formats


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


def saved(path, content, **options):
    torch.save(content, path, **options)
    return formats.read(path)


@pytest.fixture
def lightning(state):
    """A checkpoint of PyTorch Lightning, with all that its trainer keeps."""
    return {
        "epoch": 9,
        "global_step": 4000,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": prefixed(state, "model.") | {"criterion.weight": torch.ones(5)},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 10}}}},
        "callbacks": {
            "ModelCheckpoint{'monitor': 'val_acc'}": {
                "best_model_score": torch.tensor(0.9),
                "best_model_path": "runs/best.ckpt",
                "dirpath": pathlib.Path("runs"),
            }
        },
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(8)}}, "param_groups": [{"lr": 0.1}]}],
        "lr_schedulers": [{"last_epoch": 9}],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 1e-3, "model_name": "efficientnet_b0", "num_classes": 5},
    }


def test_lightning(lightning, state, equal, tmp_path):
    file = saved(tmp_path / "last.ckpt", lightning)
    assert equal(file.tensors, prefixed(state, "model.") | {"criterion.weight": torch.ones(5)})
    assert file.said == "efficientnet_b0"


@pytest.mark.parametrize("key", ["ema_state_dict", "ema_weights", "state_dict_ema", "average_model_state"])
def test_average_in_a_callback_of_lightning(key, lightning, weights_of, tmp_path):
    average = weights_of(1)
    lightning["callbacks"]["EMA"] = {key: average, "n_averaged": torch.tensor(7)}
    tensors = saved(tmp_path / "last.ckpt", lightning).tensors
    assert torch.equal(tensors["model.stem.weight"], average["stem.weight"])


def test_average_over_no_step_yet(lightning, weights_of, state, tmp_path):
    lightning["callbacks"]["SWA"] = {"average_model_state": weights_of(1), "n_averaged": 0}
    tensors = saved(tmp_path / "last.ckpt", lightning).tensors
    assert torch.equal(tensors["model.stem.weight"], state["stem.weight"])


def test_average_without_batch_statistics_takes_the_networks(weights_of, state, equal, tmp_path):
    average = prefixed(weights_of(1), "module.")
    del average["module.norm.running_mean"]
    file = saved(tmp_path / "w.pt", {"state_dict": state, "ema": average})
    assert equal(file.tensors, weights_of(1) | {"norm.running_mean": state["norm.running_mean"]})


def test_counter_called_ema_is_no_average(state, equal, tmp_path):
    content = {"ema": {"decay": torch.tensor(0.99)}, "state_dict": state}
    assert equal(saved(tmp_path / "w.pt", content).tensors, state)


def test_averaged_model_of_torch(state, tmp_path):
    network = torch.nn.Module()
    network.register_buffer("stem", state["stem.weight"])
    averaged = torch.optim.swa_utils.AveragedModel(network)
    tensors = saved(tmp_path / "swa.pt", {"model": {}, "swa_model": averaged.state_dict()}).tensors
    assert torch.equal(tensors["module.stem"], state["stem.weight"])


def test_timms_training_checkpoint(state, weights_of, equal, tmp_path):
    args = argparse.Namespace(
        model="tf_efficientnet_b1", mean=(0.5, 0.5, 0.5), std=[0.5, 0.5, 0.5], img_size=240, input_size=None,
        crop_pct=None, interpolation="", train_interpolation="random",
    )  # fmt: skip
    content = {"epoch": 1, "arch": "tf_efficientnet_b1", "state_dict": state, "optimizer": {}, "version": 2,
               "args": args, "state_dict_ema": weights_of(2), "metric": np.float64(71.3)}  # fmt: skip
    file = saved(tmp_path / "model_best.pth.tar", content)
    assert equal(file.tensors, weights_of(2))
    assert file.said == "tf_efficientnet_b1"
    assert file.preprocess == {"size": (240, 240), "mean": (127.5,) * 3, "std": (127.5,) * 3}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"arch": "resnet50"}, "resnet50"),
        ({"config": {"model": {"name": "efficientnet-b3"}}}, "efficientnet-b3"),
        (
            {"arch": "classifier", "args": argparse.Namespace(backbone="efficientnet_lite0")},
            "efficientnet_lite0",
        ),
        ({"args": types.SimpleNamespace(arch="b4")}, "b4"),
        ({"hyper_parameters": {"encoder_name": 3}}, None),
    ],
)
def test_who_says_the_architecture(content, said, state, tmp_path):
    assert saved(tmp_path / "w.pt", {"state_dict": state, **content}).said == said


def test_impossible_settings_say_nothing(state, tmp_path):
    settings = {"mean": [0.5, "x", 0.5], "std": [0.5] * 3, "crop_pct": 7, "img_size": -3}
    assert saved(tmp_path / "w.pt", {"state_dict": state, "config": settings}).preprocess == {}


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ({"classes": ["ant", "bee"]}, ("ant", "bee")),
        ({"class_to_idx": {"bee": 1, "ant": 0}}, ("ant", "bee")),
        ({"hyper_parameters": {"class_names": ("ant", "bee")}}, ("ant", "bee")),
        ({"class_to_idx": {"bee": 1, "ant": 1}}, None),
        ({"classes": 5}, None),
    ],
)
def test_labels(content, labels, state, tmp_path):
    assert saved(tmp_path / "w.pt", {"state_dict": state, **content}).labels == labels


HARMLESS = {
    "default dict": collections.defaultdict(list, a=[1]),
    "counter": collections.Counter("aab"),
    "path": pathlib.PurePosixPath("runs/1"),
    "windows path": pathlib.PureWindowsPath("runs\\1"),
    "numpy scalar": np.float32(0.5),
    "numpy array": np.arange(12.0).reshape(3, 4),
    "numpy names": np.array(["ant", "bee"]),
    "numpy type": np.dtype("float32"),
    "random state": np.random.RandomState(3).get_state(),
    "date": datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.timezone.utc),
    "duration": datetime.timedelta(seconds=3),
    "size": torch.Size([1, 2]),
    "version": torch.__version__,
    "slice": slice(1, 2),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_things_beside_the_weights(kind, zipped, state, equal, tmp_path):
    content = {"state_dict": state, "extra": HARMLESS[kind], "arch": "b0"}
    file = saved(tmp_path / "w.pt", content, _use_new_zipfile_serialization=zipped)
    assert equal(file.tensors, state)
    assert file.said == "b0"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_is_kept(dtype, state, tmp_path):
    tensors = saved(tmp_path / "w.pt", {key: value.to(dtype) for key, value in state.items()}).tensors
    assert {value.dtype for value in tensors.values()} == {dtype}


def test_parameters_come_as_plain_tensors(tmp_path):
    tensors = saved(tmp_path / "w.pt", dict(torch.nn.Linear(2, 3).named_parameters())).tensors
    assert not any(value.requires_grad or type(value) is not torch.Tensor for value in tensors.values())


def test_repository_with_a_pickle(state, equal, tmp_path):
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text('{"architecture": "efficientnet_b2", "crop_pct": 0.89}')
    file = formats.read(tmp_path)
    assert equal(file.tensors, state)
    assert (file.said, file.preprocess) == ("efficientnet_b2", {"crop": 0.89})
