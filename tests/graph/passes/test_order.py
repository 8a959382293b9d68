"""The order of the passes follows from what each requires and ensures, and from nothing else."""

from __future__ import annotations

from itertools import permutations

import pytest

from edgeeff.errors import OptionError
from edgeeff.graph import passes
from edgeeff.graph.export import onnx_from_torch
from edgeeff.graph.model import to_bytes
from edgeeff.graph.passes import Pass


def make(name, requires=(), ensures=()):
    return Pass(name, frozenset(requires), frozenset(ensures), lambda model: False)


def test_order_is_the_same_whatever_the_discovery():
    found = passes.discover()
    expected = ["simplify", "fold_batch_norm", "fold_padding", "fuse_swish", "name_layers"]
    for shuffled in permutations(found):
        assert [p.name for p in passes.order(shuffled)] == expected


def test_each_pass_states_what_it_ensures():
    for p in passes.discover():
        assert p.ensures
        assert p.rewrite.__module__.endswith(p.name)
    assert len({fact for p in passes.discover() for fact in p.ensures}) >= len(passes.discover())


def test_needs_come_first_and_ties_go_by_name():
    a, b, c, d = make("a", ["late"]), make("b", [], ["late"]), make("c"), make("d", [], ["late"])
    for shuffled in permutations([a, b, c, d]):
        assert [p.name for p in passes.order(shuffled)] == ["b", "c", "d", "a"]


def test_a_circle_is_refused():
    with pytest.raises(OptionError, match="wait for each other"):
        passes.order([make("a", ["y"], ["x"]), make("b", ["x"], ["y"])])


def test_a_fact_that_none_ensures_is_refused():
    with pytest.raises(OptionError, match="'a' requires 'the moon', which no pass ensures"):
        passes.order([make("a", ["the moon"])])


def test_skipping(make_module):
    exported = onnx_from_torch(make_module("b0"), (64, 64))
    graph = exported.clone()
    assert passes.run(graph) == ["simplify", "fold_batch_norm", "fold_padding", "fuse_swish", "name_layers"]
    without = exported.clone()
    assert "name_layers" not in passes.run(without, skip=["name_layers"])
    assert len(without.graph) == len(graph.graph)
    for name in ("simplify", "fuse_swish"):
        untouched = exported.clone()
        with pytest.raises(OptionError, match="no pass ensures"):
            passes.run(untouched, skip=[name])
        assert to_bytes(untouched) == to_bytes(exported)
    with pytest.raises(OptionError, match="no pass named fold_everything"):
        passes.run(exported.clone(), skip=["fold_everything"])
