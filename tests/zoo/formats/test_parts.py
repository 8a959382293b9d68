"""Checkpoints that hold more than one state_dict: all of it comes, under names that say where it lay."""

from __future__ import annotations

import pytest
import torch

from edgeeff.errors import CheckpointError
from edgeeff.zoo import formats

HEAD = {"weight": torch.ones(3, 8), "bias": torch.ones(3)}


def read(content, path):
    torch.save(content, path / "w.pt")
    return formats.read(path / "w.pt")


def under(**parts):
    return {f"{part}.{key}": value for part, tensors in parts.items() for key, value in tensors.items()}


@pytest.mark.parametrize("key", ["head", "fc", "arcface", "criterion", "neck"])
def test_layers_beside_the_network(key, state, equal, tmp_path):
    assert equal(read({"model": state, key: HEAD}, tmp_path).tensors, under(model=state, **{key: HEAD}))


def test_two_networks(state, weights_of, equal, tmp_path):
    other = weights_of(1)
    for keys in (("student", "teacher"), ("model", "best_model"), ("net", "state_dict")):
        content = dict(zip(keys, (state, other), strict=True))
        assert equal(read(content, tmp_path).tensors, under(**content))


def test_parts_below_a_key(state, equal, tmp_path):
    found = read({"epoch": 3, "state_dict": {"encoder": state, "head": HEAD}}, tmp_path)
    assert equal(found.tensors, under(encoder=state, head=HEAD))
    found = read({"checkpoint": {"model": state, "head": HEAD}}, tmp_path)
    assert equal(found.tensors, under(model=state, head=HEAD))


def test_a_matrix_that_lies_alone(state, equal, tmp_path):
    centres = torch.ones(3, 8)
    found = read({"state_dict": state, "centers": centres, "loss": torch.tensor(0.3)}, tmp_path)
    assert equal(found.tensors, under(state_dict=state) | {"centers": centres})


@pytest.mark.parametrize("key", ["encoder", "my_network", "best"])
def test_one_network_under_any_key(key, state, equal, tmp_path):
    assert equal(read({"epoch": 3, key: state}, tmp_path).tensors, state)


def test_the_same_twice_is_one(state, equal, tmp_path):
    content = {"model": state, "state_dict": {key: value.clone() for key, value in state.items()}}
    assert equal(read(content, tmp_path).tensors, state)


@pytest.mark.parametrize(
    "content",
    [
        {"optimizer": {"momentum_buffer": torch.ones(8, 8)}},
        {"optimizer_state_dict": {"state": {0: {"exp_avg": torch.ones(8, 8)}}, "param_groups": [{"lr": 1}]}},
        {"lr_scheduler": {"table": torch.ones(2, 2)}, "rng_state": torch.ones(5, 5)},
        {"callbacks": {"EarlyStopping": {"history": torch.ones(2, 2)}}},
    ],
)
def test_what_no_network_is_made_of(content, state, equal, tmp_path):
    assert equal(read({"model": state, **content}, tmp_path).tensors, state)


def test_the_average_that_is_taken_is_said(state, weights_of, tmp_path):
    assert "moving average" in read({"model": state, "ema": weights_of(1)}, tmp_path).lines[0]
    assert not read({"model": state, "ema": {"decay": torch.tensor(0.9)}}, tmp_path).lines
    assert not read({"ema": state}, tmp_path).lines
    average = {"decay": 0.99, "shadow": weights_of(1)}
    file = read({"model": state, "ema": average}, tmp_path)
    assert torch.equal(file.tensors["stem.weight"], weights_of(1)["stem.weight"])


def test_vectors_beside_are_said(state, tmp_path):
    content = {"model": state, "losses": torch.ones(9), "mean": torch.ones(3) / 2, "std": torch.ones(3) / 2}
    assert read(content, tmp_path).lines == ("left out, vectors beside the state_dict: losses",)


def test_an_average_without_names_is_warned_of(state, weights_of, equal, tmp_path):
    average = {"decay": 0.99, "num_updates": 7, "shadow_params": list(weights_of(1).values())}
    file = read({"model": state, "ema": average}, tmp_path)
    assert equal(file.tensors, state)
    assert file.warnings == ("ema holds a moving average in a form that is not read: it is left out",)


def test_an_optimizer_alone(tmp_path):
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(network.parameters())
    with pytest.raises(CheckpointError, match="the state of an optimizer, not a network"):
        read(optimizer.state_dict(), tmp_path)
