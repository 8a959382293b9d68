"""Checkpoints of zylo117, of the authors and of xuannianz: their names, and what each decides.

The tables hold names and shapes of tensors as those libraries' own code writes them: state_dicts of zylo117's
networks, and the data sets of .h5 files that Keras 2 wrote of the other two's.
"""

from __future__ import annotations

import json
import lzma
from dataclasses import replace
from math import sqrt
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from edgeeff.errors import CheckpointError, OptionError
from edgeeff.zoo import catalog, checkpoints, namings
from edgeeff.zoo.checkpoint_options import Chosen
from edgeeff.zoo.detection import efficientdet, origin
from edgeeff.zoo.detection.conventions import TENSORFLOW, XUANNIANZ
from edgeeff.zoo.detection.conventions import ZYLO117 as ZYLO117_CONVENTIONS
from edgeeff.zoo.formats import _keras_detector

TABLES = Path(__file__).parents[2] / "fixtures" / "naming"


def table(library):
    found = json.loads(lzma.decompress((TABLES / f"{library}.json.xz").read_bytes()))
    return {name: network["tensors"] for network in found for name in network["names"]}


ZYLO117, AUTOML, XUAN = table("zylo117"), table("automl"), table("xuannianz")
KERAS = {"automl": AUTOML, "xuannianz": XUAN}
ROOTS = ((1.0, 1.0), (sqrt(2), sqrt(0.5)), (sqrt(0.5), sqrt(2)))


@pytest.mark.parametrize("name", ZYLO117)
def test_zylo117s_tensors_are_ours_one_to_one(name):
    architecture = catalog.detector(name).architecture
    assert namings.detect(ZYLO117[name]) == "zylo117"
    translation = namings.translate("zylo117", ZYLO117[name], architecture)
    shapes = {ours: tuple(ZYLO117[name][key]) for key, ours in translation.ours.items()}
    assert translation.unexpected == [] and shapes == architecture.tensors(90)


@pytest.fixture
def written(tmp_path):
    """``written(tensors, name)``: an HDF5 file of data sets of these shapes, and their values."""

    def write(tensors, name="efficientdet-d0.h5"):
        random = np.random.default_rng(0)
        values = {path: random.random(shape, np.float32) for path, shape in tensors.items()}
        with h5py.File(tmp_path / name, "w") as file:
            for path, value in values.items():
                file[path] = value
        return tmp_path / name, values

    return write


@pytest.mark.parametrize(("library", "name"), [(lib, name) for lib in KERAS for name in KERAS[lib]])
def test_the_authors_names_are_ours_one_to_one(library, name):
    names = [_keras_detector._name(path) for path in KERAS[library][name]]
    joined = list(dict.fromkeys(key.rpartition("_")[0] if "WSM_" in key else key for key in names))
    assert namings.detect(joined) == library
    spec = catalog.detector(name.partition(",")[0])
    own = replace(spec.architecture, weighted=spec.weighted and "not weighted" not in name)
    translation = namings.translate(library, joined, own)
    assert translation.unexpected == []
    assert sorted(translation.ours.values()) == sorted(own.tensors(7))


D0 = "efficientdet-d0"
NODE = "fpn_cells/fpn_cells/cell_0/fnode4/"


def test_a_file_of_keras_is_read_whole(written):
    """In torch's layout; a node's weights as one vector; the moving average where there is one."""
    path, values = written(AUTOML[D0])
    with h5py.File(path, "a") as file:
        file[f"{NODE}WSM_1/ExponentialMovingAverage:0"] = np.float32(7)
        del file[f"{NODE}WSM_1:0"]
    found = checkpoints.read(path)
    assert (found.spec.name, found.naming, found.classes) == (D0, "automl", 7)
    assert found.origin.warnings == () and found.origin.offset == 1
    assert any("moving average" in note for note in found.origin.notes)
    kernel = values["class_net/class_net/class-0/pointwise_kernel:0"]
    ours = found.tensors["class_head.convs.0.pointwise.weight"].numpy()
    assert (ours == kernel.transpose(3, 2, 0, 1)).all()
    kernel = values["fpn_cells/fpn_cells/cell_1/fnode2/op_after_combine7/conv/depthwise_kernel:0"]
    ours = found.tensors["pyramid.cells.1.p4_td.depthwise.weight"].numpy()
    assert (ours == kernel.transpose(2, 3, 0, 1)).all()
    own = found.tensors["pyramid.cells.0.p4_out.weights"].tolist()
    assert own == pytest.approx([float(values[f"{NODE}WSM:0"]), 7, float(values[f"{NODE}WSM_2:0"])])


def test_lost_weights_of_fusion_are_missed(written):
    path, _ = written({f"{NODE}WSM:0": [], f"{NODE}WSM_2:0": []})
    with pytest.raises(CheckpointError, match="numbers 0, 2 alone"):
        checkpoints.read(path)
    path, _ = written({key: shape for key, shape in AUTOML[D0].items() if "WSM" not in key})
    found = checkpoints.read(path, D0, Chosen(origin="zylo117")).origin
    (warning,) = found.warnings
    assert "no weights of fusion" in warning
    # Whose it is the user says, whatever the names of its tensors.
    assert (found.conventions, found.offset) == (ZYLO117_CONVENTIONS, 0)
    assert any("as --origin says" in note for note in found.notes)


def test_a_classifier_has_no_origin_to_choose():
    with pytest.raises(OptionError, match="which is no detector"):
        checkpoints.read(None, "lite0", Chosen(origin="effdet"))


def test_a_tensor_that_nobody_knows_is_refused(written):
    path, _ = written(AUTOML[D0] | {"class_net/class_net/extra/kernel:0": [1, 1, 2, 2]})
    with pytest.raises(CheckpointError, match="extra/kernel"):
        checkpoints.read(path, D0)


def test_without_weights_xuannianzs_features_are_added(written):
    path, _ = written(XUAN[f"{D0}, not weighted"])
    found = checkpoints.read(path, D0)
    own = found.origin.conventions
    assert own == XUANNIANZ and (own.epsilon, own.backbone.epsilon) == (1e-4, 1e-3)
    assert "way down" in str(own) and found.origin.geometry.ratios == ROOTS
    assert found.origin.warnings == () and not found.spec.weighted
    assert not any(name.endswith(".weights") for name in found.tensors)


def test_what_each_origin_decides():
    def of(naming, name, said=None):
        return origin.of(naming, catalog.detector(name), said, {})

    assert of("zylo117", "efficientdet-d7").geometry.scale == 5.0
    assert of("zylo117", "efficientdet-d7").conventions.border == "zeros"
    assert of("zylo117", "efficientdet-d0").geometry.ratios[1] == (1.4, 0.7)
    assert of("automl", "efficientdet-d0").conventions == TENSORFLOW
    assert of("automl", "efficientdet-d0").geometry.ratios == ROOTS
    advprop = of("automl", "efficientdet-d0", "efficientdet-d0-advprop").preprocess
    assert (advprop.mean, advprop.std, advprop.letterbox) == ((127.5,) * 3, (127.5,) * 3, (0.0,) * 3)
    large = of("xuannianz", "efficientdet-d6")
    assert large.preprocess.size == large.geometry.size == (1408, 1408)
    offsets = [of(n, "efficientdet-d0").offset for n in ("effdet", "automl", "zylo117", "xuannianz")]
    assert offsets == [1, 1, 0, 0]


def test_files_of_tensorflow_and_of_keras_3_say_what_they_are(tmp_path):
    (tmp_path / "model.ckpt.index").write_bytes(b"\0\1\2\3")
    for path in (tmp_path / "model.ckpt.index", tmp_path):
        with pytest.raises(CheckpointError, match="TensorFlow checkpoint"):
            checkpoints.read(path)
    with h5py.File(tmp_path / "d0.weights.h5", "w") as file:
        file["fpn_cells/cells/fpn_cell/fnodes/f_node/vars/0"] = np.zeros(3)
    with pytest.raises(CheckpointError, match="Keras 3's layout"):
        checkpoints.read(tmp_path / "d0.weights.h5")


def test_cells_of_the_way_down_end_in_their_first_nodes():
    spec = catalog.detector("efficientdet-d0")
    found = {}
    for outputs in ("up", "down"):
        torch.manual_seed(0)
        network = efficientdet.build(spec, 2, (128, 128), replace(XUANNIANZ, outputs=outputs))
        given = [torch.rand(1, wide, 128 // 2**level, 128 // 2**level)
                 for level, wide in enumerate(spec.architecture.given, 3)]  # fmt: skip
        with torch.inference_mode():
            found[outputs] = network.pyramid.cells[0](given)
    same = [torch.equal(up, down) for up, down in zip(found["up"], found["down"], strict=True)]
    assert same == [True, False, False, False, True]
