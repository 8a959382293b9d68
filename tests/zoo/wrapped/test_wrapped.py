"""Random wrappers and heads around small networks: what is built computes what the user's network computes,
or is refused; where it was guessed, a warning says so."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import edgeeff
from edgeeff.cache import Cache
from edgeeff.errors import EdgeeffError
from edgeeff.graph.export import base_graph
from edgeeff.progress import Silent
from edgeeff.zoo import catalog, checkpoint_options, checkpoints
from edgeeff.zoo.conventions import TENSORFLOW, TORCH

REACH = 80.0  # dB, in float32
SIDE = (32, 32)


def saved(case, path):
    if case.safetensors:
        save_file({key: value.clone() for key, value in case.content.items()}, path)
    else:
        torch.save(case.content, path)
    return path


def conventions(case):
    """Those of the library that the trunk is from: they are not what is tested here."""
    return TORCH if case.said[0].startswith("geffnet") else TENSORFLOW


def expected(case, pixels, preprocess):
    """The user's network on photos, uint8 [N, H, W, 3]."""
    with torch.no_grad():
        if not case.own_pixels:
            return case.module(torch.from_numpy(preprocess.normalise(pixels))).numpy()
        mean = getattr(case.module[0], case.module[0].names[0])
        scale = 1.0 if float(mean.max()) > 2 else 255.0
        return case.module(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / scale).numpy()


def decibels(found, wanted):
    if found.shape != wanted.shape:
        return -np.inf
    error = np.square(found.astype(np.float64) - wanted).sum()
    return 10 * np.log10(np.square(wanted - wanted.mean()).sum() / max(error, 1e-30))


def noise(count):
    return np.random.default_rng(0).integers(0, 256, (count, *SIDE, 3), dtype=np.uint8)


def judge(case, path, run_onnx=None):
    """What becomes of a case, without options and with what the user would say."""
    pixels = noise(4)
    saved(case, path)
    outcomes = []
    for options in ({}, case.options):
        try:
            checkpoint = checkpoints.read(path, case.model, checkpoint_options.read(**options))
        except EdgeeffError as error:
            assert error.mend
            outcomes.append("refused")
            continue
        wanted = expected(case, pixels, checkpoint.origin.preprocess)
        x = checkpoint.origin.preprocess.normalise(pixels)
        network = checkpoint.network(SIDE, conventions(case))
        if run_onnx is None:
            with torch.no_grad():
                found = network(torch.from_numpy(x)).numpy()
        else:
            found = run_onnx(base_graph(network, SIDE), x)
        reached = decibels(found, wanted)
        word = "equal" if reached >= REACH else "different"
        outcomes.append(f"{word}, warned" if checkpoint.origin.warnings else word)
        assert outcomes[-1] != "different", f"{reached:.1f} dB, {case.said}, {options}"
    return outcomes


@pytest.mark.parametrize("seed", range(12))
def test_equal_or_refused(seed, make_case, tmp_path, run_onnx):
    judge(make_case(seed), tmp_path / "w.pt", run_onnx if seed % 6 == 0 else None)


@pytest.mark.slow
def test_equal_or_refused_300_times(make_case, tmp_path, run_onnx, record_property):
    without, told = collections.Counter(), collections.Counter()
    for seed in range(300):
        outcomes = judge(make_case(seed), tmp_path / "w.pt", run_onnx if seed % 10 == 0 else None)
        without[outcomes[0]] += 1
        told[outcomes[1]] += 1
    record_property("without options", dict(without))
    record_property("told", dict(told))
    print(dict(without), dict(told))
    assert without["equal"] + without["equal, warned"] > 30
    assert told["equal"] > 120


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20, 32))
def test_built_for_a_cpu(seed, make_case, tmp_path):
    """The same through a whole build, by OpenVINO in float32."""
    case, pixels = make_case(seed), noise(8)
    np.savez(tmp_path / "photos.npz", images=pixels)
    own = conventions(case)
    try:
        built = edgeeff.build(
            case.model,
            targets=["cpu-fp32"],
            checkpoint=saved(case, tmp_path / "w.pt"),
            calibration=tmp_path / "photos.npz",
            output=tmp_path / "dist",
            name="wrapped",
            padding=own.padding,
            bn_epsilon=own.epsilon,
            cache=Cache(tmp_path / "cache"),
            progress=Silent(),
            **case.options,
        )[0]
    except EdgeeffError:
        return
    preprocess = built.bundle.manifest.preprocess
    fitted = np.stack([preprocess.fit(Image.fromarray(image)) for image in pixels])
    reached = decibels(built.bundle.predict(fitted), expected(case, fitted, preprocess))
    assert reached >= REACH, f"{seed}: {reached:.1f} dB, {case.said}"


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["tanh", "swish", "leaky_relu", "hard_sigmoid"])
def test_hidden_layers_in_int8(activation, make_module, make_images, tmp_path):
    """Every activation that a head may have goes through every scheme."""
    model = "b:width=0.5,depth=0.3,size=64"
    module = make_module(catalog.get(model), size=64)
    head = torch.nn.Sequential(torch.nn.Linear(640, 32), torch.nn.Dropout(), torch.nn.Linear(32, 5))
    state = {key: value for key, value in module.state_dict().items() if not key.startswith("classifier")}
    torch.save(state | {f"classifier.{k}": v for k, v in head.state_dict().items()}, tmp_path / "w.pt")
    np.savez(tmp_path / "photos.npz", images=make_images(40, 64, 3))

    def fidelity(head):
        built = edgeeff.build(
            model,
            targets=["cpu-int8", "mobile-int8", "jetson-int8"],
            checkpoint=tmp_path / "w.pt",
            head=head,
            calibration=tmp_path / "photos.npz",
            output=tmp_path,
            effort="fast",
            cache=Cache(tmp_path / "cache"),
            progress=Silent(),
        )
        return {bundle.bundle.name: bundle.hub.sqnr for bundle in built}

    # Random weights quantise badly: what an activation costs is seen beside the same head without it.
    plain = fidelity("linear,linear")
    for name, reached in fidelity(f"linear,{activation},linear").items():
        assert reached > plain[name] - 6, (name, reached, plain[name])


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


def other(state):
    return {key: value + 1 if value.is_floating_point() else value for key, value in state.items()}


FORMS = {
    "state_dict": lambda s: s,
    "trainer": lambda s: {"epoch": 1, "state_dict": s, "optimizer": {"state": {}, "param_groups": []}},
    "data parallel": lambda s: {"model": prefixed(s, "module.")},
    "lightning": lambda s: {"state_dict": prefixed(s, "model.") | {"criterion.weight": torch.ones(7)}},
    "average": lambda s: {"model": other(s), "model_ema": s},
    "average in one": lambda s: (
        prefixed(other(s), "model.") | prefixed(s, "ema.") | {"n_averaged": torch.ones(())}
    ),
    "part": lambda s: {"backbone": s, "args": {"img_size": 64}},
}


@pytest.mark.slow
@pytest.mark.parametrize("library", ["ours", "efficientnet_pytorch", "geffnet"])
@pytest.mark.parametrize("form", [*FORMS, "legacy", "safetensors"])
def test_forms_of_checkpoints(form, library, make_trunk, run_onnx, tmp_path):
    """The float graph of every form that a checkpoint may have, against the user's own network."""
    network, model = make_trunk(library)
    state, path = network.state_dict(), tmp_path / "w.pt"
    if form == "safetensors":
        save_file({key: value.clone() for key, value in state.items()}, path)
    else:
        torch.save(FORMS.get(form, dict)(state), path, _use_new_zipfile_serialization=form != "legacy")
    checkpoint = checkpoints.read(path, model)
    x = checkpoint.origin.preprocess.normalise(noise(2))
    own = TORCH if library == "geffnet" else TENSORFLOW
    found = run_onnx(base_graph(checkpoint.network(SIDE, own), SIDE), x)
    with torch.no_grad():
        assert decibels(found, network(torch.from_numpy(x)).numpy()) >= REACH
