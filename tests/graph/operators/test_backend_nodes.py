"""The ONNX project's own tests of single operators (onnx.backend.test), for every operator that has a file.

Each case is one node with inputs and outputs. It is run by what the importer and the interpreter do with one
node (conftest.py says what level that is), in each way in which its tensors may lie as images: a way may be
refused, but none may compute something else. A case counts as refused where each way is.

The cases are written in the newest opset of each operator. Where onnx's converter can bring them to an older
one of those that we import, they are run in that one too.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections import Counter
from functools import cache

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, version_converter

from edgeeff.errors import GraphError
from edgeeff.graph.operators import discover

#: Files of onnx.backend.test.case.node that are not called as their operator is.
CALLED = {
    "And": "and_",
    "BatchNormalization": "batch_normalization",
    "Not": "not_",
    "Or": "or_",
    "Range": "rangeop",
}
#: Older opsets of those that are imported: where attributes became inputs, and that of the hub.
OLDER = (11, 13, 17)
#: Softmax of opset 13 in an older one: onnx's converter changes its meaning, not its node.
NOT_THE_SAME = ("test_softmax_axis_0", "test_softmax_axis_1")

#: Each case that is refused, by the reason; what begins to pass leaves the table.
REFUSED = {
    "images have two axes of pixels": """
        test_averagepool_1d_default test_averagepool_3d_default test_averagepool_3d_dilations_small
        test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True
        test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False
        test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True
        test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False
        test_maxpool_1d_default test_maxpool_3d_default test_maxpool_3d_dilations
        test_maxpool_3d_dilations_use_ref_impl test_maxpool_3d_dilations_use_ref_impl_large
    """,
    "no runtime of ours pools so": "test_averagepool_2d_dilations",
    "it computes as in training": """
        test_batchnorm_example_training_mode test_batchnorm_epsilon_training_mode
        test_training_dropout_default test_training_dropout_default_mask test_training_dropout
        test_training_dropout_mask test_training_dropout_zero_ratio
        test_training_dropout_zero_ratio_mask
    """,
    "it works across the images of a run": """
        test_reduce_l2_default_axes_keepdims_example test_reduce_l2_default_axes_keepdims_random
        test_reduce_mean_default_axes_keepdims_example test_reduce_mean_default_axes_keepdims_random
        test_reduce_sum_default_axes_keepdims_example test_reduce_sum_default_axes_keepdims_random
        test_gemm_transposeA test_gemm_all_attributes
    """,
    "no tensor of an image is empty": """
        test_reduce_l2_empty_set test_reduce_sum_empty_set
        test_reduce_sum_empty_set_non_reduced_axis_zero test_reshape_allowzero_reordered
        test_slice_start_out_of_bounds test_split_zero_size_splits_opset13
        test_split_zero_size_splits_opset18
    """,
    "the axes are cut or mixed: no view of an image": """
        test_reshape_reordered_all_dims test_reshape_reordered_last_dims test_reshape_extended_dims
        test_reshape_negative_dim
    """,
    "parts are put in another order inside of the network": """
        test_gather_0 test_gather_1 test_gather_2d_indices test_gather_negative_indices
        test_expand_dim_changed test_tile test_tile_precomputed
    """,
    "the weights are no constant matrix, or its bias differs by image": """
        test_gemm_default_matrix_bias test_matmul_3d test_matmul_4d test_matmul_bcast test_matmul_1d_3d
        test_matmul_4d_1d test_matmul_1d_1d
    """,
    "it is no clamp: two tensors, or none, are compared": """
        test_max_example test_max_one_input test_max_two_inputs test_max_float16 test_max_float32
        test_max_float64 test_min_example test_min_one_input test_min_two_inputs test_min_float16
        test_min_float32 test_min_float64
    """,
    "an embedding has the length 1 by its squares, over the channels": """
        test_l1normalization_axis_0 test_l1normalization_axis_1 test_l1normalization_axis_last
        test_lpnormalization_default
    """,
    "no exponent but 1, 2 and 1/2": """
        test_pow_example test_pow test_pow_bcast_array test_pow_types_float32_int64
        test_pow_types_float32_int32 test_pow_types_float32_uint64 test_pow_types_float32_uint32
    """,
    "integers that depend on the image": "test_maxpool_2d_uint8 test_edge_pad test_reflect_pad test_wrap_pad",
    "constants that are not finite": """
        test_mod_float_edge_cases_fmod_0_float16 test_mod_float_edge_cases_fmod_0_float32
        test_mod_float_edge_cases_fmod_0_float64
    """,
    "TFLite has no such interpolation, and others differ in it": """
        test_resize_upsample_scales_cubic test_resize_upsample_scales_cubic_align_corners
        test_resize_downsample_scales_cubic test_resize_downsample_scales_cubic_align_corners
        test_resize_upsample_sizes_cubic test_resize_downsample_sizes_cubic
        test_resize_upsample_scales_cubic_A_n0p5_exclude_outside
        test_resize_downsample_scales_cubic_A_n0p5_exclude_outside
        test_resize_upsample_scales_cubic_asymmetric test_resize_downsample_scales_linear_antialias
        test_resize_downsample_sizes_linear_antialias test_resize_downsample_scales_cubic_antialias
        test_resize_downsample_sizes_cubic_antialias
        test_resize_downsample_scales_linear_half_pixel_symmetric
        test_resize_upsample_scales_linear_half_pixel_symmetric
    """,
    "it cuts a part out of the image, of a size that depends on it": """
        test_resize_tf_crop_and_resize test_resize_tf_crop_and_resize_extrapolation_value
        test_resize_tf_crop_and_resize_axes_2_3 test_resize_tf_crop_and_resize_axes_3_2
        test_resize_upsample_sizes_nearest_not_larger test_resize_upsample_sizes_nearest_not_smaller
        test_resize_downsample_sizes_nearest_not_larger test_resize_downsample_sizes_nearest_not_smaller
    """,
    "an operator of opset 24": "test_swish",
}
#: Cases that compute something else than onnx's reference says, and why that is right for us.
DIFFERENT = {
    "test_resize_downsample_scales_linear_align_corners": "the runtimes take whole pixels, as we do",
}


@cache
def cases():
    """The cases of one node, by their names."""
    package = importlib.import_module("onnx.backend.test.case.node")
    files = {module.name for module in pkgutil.iter_modules(package.__path__)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in discover():
            file = CALLED.get(name, name.lower())
            if file in files:
                importlib.import_module(f"{package.__name__}.{file}")
    found = {case.name: case for case in package._NodeTestCases if len(case.model.graph.node) == 1}
    claimed = {
        name
        for name, operator in discover().items()
        if operator.translate or operator.most or operator.execute
    }
    return {
        name: case
        for name, case in found.items()
        if case.model.graph.node[0].op_type in claimed and not name.endswith("_expanded")
    }


def arrays_of(case):
    """The inputs of a case in the order of its node, and its outputs; None: they are of other types."""
    (inputs, outputs), node = case.data_sets[0], case.model.graph.node[0]
    given = [numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for v in (*inputs, *outputs)]
    if not all(isinstance(v, (np.ndarray, np.generic)) and _is_ours(v.dtype) for v in given):
        return None  # text, sequences, 8-bit floats, 4-bit integers
    left = iter(given)
    return [np.asarray(next(left)) if name else None for name in node.input], [np.asarray(v) for v in left]


def _is_ours(dtype):
    return dtype.kind in "iub" or (dtype.kind == "f" and dtype.name in ("float16", "float32", "float64"))


def results(nodes, node, opset, arrays):
    """Ways in which a node can be run, and what each gives."""
    arrays = [a.astype(np.float32) if a is not None and a.dtype.kind == "f" else a for a in arrays]
    moving = [
        i
        for i, array in enumerate(arrays)
        if array is not None and array.dtype.kind == "f" and (i == 0 or node.op_type in nodes.ANY_INPUT)
    ]
    if moving and discover()[node.op_type].translate is not None:
        return nodes.run(node, opset, arrays, moving)
    return [nodes.folded(node, opset, arrays)]


def agree(found, expected):
    return all(
        a.shape == b.shape
        and np.allclose(a.astype(np.float64), b.astype(np.float64), rtol=1e-3, atol=1e-5, equal_nan=True)
        for a, b in zip(found, expected, strict=False)
    )


@pytest.fixture(scope="session")
def outcome(nodes):
    """What becomes of each case: ``passes``, ``differs``, ``types``, or why it is refused."""
    found = {}
    for name, case in cases().items():
        if (arrays := arrays_of(case)) is None:
            found[name] = "types"
            continue
        inputs, expected = arrays
        try:
            ways = results(
                nodes, case.model.graph.node[0], nodes.newest(case.model.opset_import[0].version), inputs
            )
            found[name] = "passes" if all(agree(way, expected) for way in ways) else "differs"
        except GraphError as error:
            found[name] = f"refused: {error.what}"
    return found


def test_every_case_passes_or_is_listed(outcome):
    listed = {name: reason for reason, names in REFUSED.items() for name in names.split()}
    refused = {name: why for name, why in outcome.items() if why.startswith("refused")}
    assert {name: why for name, why in refused.items() if name not in listed} == {}
    assert set(listed) - set(refused) == set(), "these pass, or are gone: take them off the list"


def test_what_differs_is_listed(outcome):
    assert {name for name, why in outcome.items() if why == "differs"} == set(DIFFERENT)


def test_most_operators_have_cases_that_pass(outcome):
    """Gather and Tile stand in front of networks alone (tests/graph/importing/test_channels.py)."""
    passing = {cases()[name].model.graph.node[0].op_type for name, why in outcome.items() if why == "passes"}
    without = set(discover()) - passing
    assert without == {"QuantizeLinear", "DequantizeLinear", "Swish", "Gather", "Tile"}
    assert Counter(outcome.values())["passes"] > 350


@pytest.mark.slow
@pytest.mark.parametrize("opset", OLDER)
def test_in_older_opsets(opset, outcome, nodes):
    """A node that onnx can bring to an older opset gives the same there, or is refused there as well."""
    brought, wrong = Counter(), []
    for name, why in outcome.items():
        if why != "passes" or name in NOT_THE_SAME or (older := brought_to(cases()[name], opset)) is None:
            continue
        node, inputs, expected = older
        brought[node.op_type] += 1
        try:
            ways = results(nodes, node, opset, inputs)
        except GraphError as error:
            wrong.append(f"{name}: {error.what}")
            continue
        if not all(agree(way, expected) for way in ways):
            wrong.append(name)
    assert wrong == []
    assert len(brought) > 12


def brought_to(case, opset):
    """The node of a case in an older opset, with its inputs; None where onnx cannot do that."""
    inputs, expected = arrays_of(case)
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    if model.opset_import[0].version < opset:
        return None
    given = {name: array for name, array in zip(model.graph.node[0].input, inputs, strict=True) if name}
    names = list(given)
    del model.graph.input[1:]
    for name in names[1:]:
        model.graph.initializer.append(numpy_helper.from_array(given[name], name))
    try:
        older = version_converter.convert_version(model, opset)
    except Exception:  # whatever the converter makes of what it does not know
        return None
    made = {
        n.output[0]: numpy_helper.to_array(n.attribute[0].t)
        for n in older.graph.node
        if n.op_type == "Constant"
    }
    known = {t.name: numpy_helper.to_array(t) for t in older.graph.initializer} | made
    left = [n for n in older.graph.node if n.op_type != "Constant"]
    if len(left) != 1 or left[0].op_type != case.model.graph.node[0].op_type:
        return None
    first = {names[0]: given[names[0]]} if names else {}
    if any(name and name not in known and name not in first for name in left[0].input):
        return None
    return left[0], [None if not name else (first | known)[name] for name in left[0].input], expected
