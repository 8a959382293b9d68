"""A small state_dict, and Keras on torch for its own files."""

from __future__ import annotations

import os

import pytest
import torch

os.environ.setdefault("KERAS_BACKEND", "torch")  # before anything imports keras
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def weights_of():
    """``weights_of(seed)``: a few tensors under names that nobody's naming has."""

    def make(seed=0):
        random = torch.Generator().manual_seed(seed)
        return {
            "stem.weight": torch.randn(8, 3, 3, 3, generator=random),
            "norm.running_mean": torch.randn(8, generator=random),
            "classifier.weight": torch.randn(5, 8, generator=random),
        }

    return make


@pytest.fixture
def state(weights_of):
    return weights_of()


@pytest.fixture(scope="session")
def equal():
    """``equal(tensors, state)``: the same names and the same values."""

    def compare(tensors, state):
        return tensors.keys() == state.keys() and all(torch.equal(tensors[key], state[key]) for key in state)

    return compare
