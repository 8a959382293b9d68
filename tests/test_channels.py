"""Networks that take BGR, grey or four channels, from the checkpoint to what the runtimes compute."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import edgeeff
from edgeeff.backends.tensorrt.device.onboard import golden
from edgeeff.backends.tflite import metadata
from edgeeff.cache import Cache
from edgeeff.errors import CheckpointError, GraphError, OptionError
from edgeeff.graph.model import expand_functions
from edgeeff.graph.order import turn_around, turn_around_quantised
from edgeeff.images import decode
from edgeeff.metrics import sqnr
from edgeeff.pipeline.resolve.preprocessing import order_warning
from edgeeff.preprocess import Preprocess
from edgeeff.zoo import catalog, checkpoints
from edgeeff.zoo.sources import Asked, onnx_file
from edgeeff.zoo.spec import IMAGENET, LITE

#: Seven blocks of a few channels.
TINY = "lite:width=0.25,depth=0.2,size=64"
FLOATS = ["cpu-fp32", "mobile-fp32"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def module(make_module):
    return make_module(catalog.get(TINY), classes=3)


def with_channels(module, channels):
    """The tensors of the network, its stem reading so many channels."""
    tensors = dict(module.state_dict())
    stem = tensors["stem.conv.weight"]
    weights = {1: stem.sum(1, keepdim=True), 2: stem[:, :2], 4: torch.cat([stem, 0.3 * stem[:, :1]], 1)}
    return {**tensors, "stem.conv.weight": weights[channels]}


def made(make_images, channels, count=10, size=64):
    pixels = make_images(count, size, 5)
    return {1: pixels[..., :1], 3: pixels, 4: np.concatenate([pixels, 255 - pixels[..., :1]], 3)}[channels]


def build(folder, tensors, pixels, cache, targets=FLOATS, size=64, model=TINY, **options):
    folder.mkdir(exist_ok=True)
    torch.save(tensors, folder / "best.pt")
    np.savez(folder / "photos.npz", images=pixels)
    built = edgeeff.build(
        *(model,),
        checkpoint=folder / "best.pt",
        calibration=folder / "photos.npz",
        targets=targets,
        size=size,
        output=folder / "dist",
        cache=cache,
        **options,
    )
    return {b.bundle.manifest.target: b for b in built}


def logits(path, x, size=64, model=TINY):
    network = checkpoints.read(path, model).network((size, size))
    with torch.no_grad():
        return network(torch.from_numpy(np.ascontiguousarray(x))).numpy()


@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_four_channels_in_every_float_runtime(channels, module, make_images, tmp_path, cache):
    pixels, tensors = made(make_images, channels), with_channels(module, channels)
    mean, std = tuple(100.0 + 10 * i for i in range(channels)), tuple(50.0 + 5 * i for i in range(channels))
    built = build(tmp_path, tensors, pixels, cache, mean=mean, std=std)
    x = ((pixels - np.float32(mean)) / np.float32(std)).transpose(0, 3, 1, 2).astype(np.float32)
    expected = logits(tmp_path / "best.pt", x)
    for b in built.values():
        assert sqnr(expected, b.bundle.predict(pixels)) > 80
        assert b.bundle.manifest.preprocess.channels == channels
        assert not any("--mean" in warning for warning in b.warnings)
        golden = np.load(b.bundle.folder / "golden/inputs.npy")
        assert golden.shape[1:] == (64, 64, channels)
        text = (b.bundle.folder / "README.md").read_text()
        assert f", 64, {channels}" in text or f"[1, {channels}, 64, 64]" in text
    tflite = (built["mobile-fp32"].bundle.folder / "model.tflite").read_bytes()
    assert len(metadata.read(tflite).mean) in (1, channels)


@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
def test_a_network_trained_on_bgr(module, make_images, tmp_path, cache):
    pixels, tensors = made(make_images, 3), module.state_dict()
    mean, std = (10.0, 60.0, 110.0), (40.0, 50.0, 60.0)  # of B, G, R, as the network takes them
    built = build(tmp_path, tensors, pixels, cache, channels="bgr", mean=mean, std=std)
    x = ((pixels[..., ::-1] - np.float32(mean)) / np.float32(std)).transpose(0, 3, 1, 2).astype(np.float32)
    expected = logits(tmp_path / "best.pt", x)
    for b in built.values():
        assert sqnr(expected, b.bundle.predict(pixels)) > 80
    told = built["cpu-fp32"].bundle.manifest.preprocess
    assert (told.mean, told.std) == (mean[::-1], std[::-1])
    info = (built["cpu-fp32"].bundle.folder / "model.xml").read_text()
    assert 'reverse_input_channels value="True"' in info.replace("<", "").replace(" />", "")
    # Where mean and std are one value nothing else tells the two apart: it is no standing bundle's.
    again = build(
        tmp_path, tensors, pixels, cache, targets=["cpu-fp32"], channels="bgr", mean=(9.0,), std=(9.0,)
    )
    other = build(tmp_path, tensors, pixels, cache, targets=["cpu-fp32"], mean=(9.0,), std=(9.0,))
    assert not again["cpu-fp32"].unchanged and not other["cpu-fp32"].unchanged


def test_turning_around_is_exact_and_undoes_itself(lite0, run_onnx, x):
    turned = lite0.graph.clone()
    turn_around(turned)
    images = lite0.preprocess.normalise(lite0.images)[:2]
    expected = run_onnx(lite0.graph, images)
    np.testing.assert_allclose(run_onnx(turned, images[:, ::-1].copy()), expected, atol=1e-4)
    assert np.abs(run_onnx(turned, images) - expected).max() > 0.01
    turn_around(turned)
    assert np.array_equal(run_onnx(turned, images), expected)


@pytest.mark.parametrize("scales", [1, 3])
def test_colours_that_have_a_scale_each_are_not_turned_around(scales):
    """Of a Q/DQ graph: the scale of blue would be that of red."""
    graph = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 17]> net (float[1,3,4,4] x) => (float[1,2,4,4] y)
        <float[{scales}] s = {{{", ".join(["0.1", "0.2", "0.4"][:scales])}}}, float w_s = {{0.1}},
        int8[{scales}] z = {{{", ".join("0" * scales)}}}, int8 w_z = {{0}},
        int8[2,3,1,1] w = {{1, 2, 3, 4, 5, 6}}>
        {{
            q = QuantizeLinear <axis = 1> (x, s, z)
            d = DequantizeLinear <axis = 1> (q, s, z)
            weight = DequantizeLinear (w, w_s, w_z)
            y = Conv (d, weight)
        }}"""
    )
    if scales == 3:
        with pytest.raises(GraphError, match="order of its colours cannot be changed"):
            turn_around_quantised(graph)
        return
    turned = {tensor.name: tensor for tensor in turn_around_quantised(graph).graph.initializer}
    assert numpy_helper.to_array(turned["w.turned_around"]).ravel().tolist() == [3, 2, 1, 6, 5, 4]


@pytest.mark.parametrize("channels", [1, 4])
def test_what_grey_and_four_channels_were_normalised_with_is_a_guess(channels, module, tmp_path):
    torch.save(with_channels(module, channels), tmp_path / "a.pt")
    found = checkpoints.read(tmp_path / "a.pt", TINY).origin
    assert found.preprocess.channels == channels
    assert any("--mean" in warning and "guess" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("channels", "mean", "std", "expected"),
    [
        (1, [0.4], [0.2], ((102.0,), (51.0,))),
        (1, 0.4, 0.2, ((102.0,), (51.0,))),
        (1, [0.4, 0.4, 0.4], [0.2, 0.2, 0.2], ((102.0,), (51.0,))),
        (
            4,
            [0.4, 0.2, 0.6, 0.8],
            [0.2, 0.2, 0.4, 0.4],
            ((102.0, 51.0, 153.0, 204.0), (51.0, 51.0, 102.0, 102.0)),
        ),
        (4, 0.4, 0.2, ((102.0,) * 4, (51.0,) * 4)),
        (1, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], None),  # whose mean of one is it?
    ],
)
def test_what_the_file_says_of_its_channels(channels, mean, std, expected, module, tmp_path):
    content = {"mean": mean, "std": std, "state_dict": with_channels(module, channels)}
    torch.save(content, tmp_path / "a.pt")
    found = checkpoints.read(tmp_path / "a.pt", TINY).origin
    if expected is None:
        assert any("guess" in warning for warning in found.warnings)
    else:
        np.testing.assert_allclose((found.preprocess.mean, found.preprocess.std), expected, rtol=1e-6)
        assert not any("guess" in warning for warning in found.warnings)


def test_two_channels_are_refused(module, tmp_path):
    torch.save(with_channels(module, 2), tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"32×2×3×3 instead of 32×3×3×3"):
        checkpoints.read(tmp_path / "a.pt", TINY)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": "bgr"}, "1 input channels"),
        ({"mean": (1.0, 2.0, 3.0)}, "the network takes 1 channels"),
        ({"channels": "grb"}, "--channels 'grb'"),
        ({"std": (1.0, 2.0)}, "--std has 2 values"),
    ],
)
@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
def test_options_that_do_not_fit_the_channels(options, message, module, make_images, tmp_path, cache):
    with pytest.raises(OptionError, match=message):
        build(tmp_path, with_channels(module, 1), made(make_images, 1), cache, **options)


def turned_file(lite0, path):
    """The network in an ONNX file that turns its colours around first."""
    model = expand_functions(lite0.graph)
    for node in model.graph.node:
        node.input[:] = ["turned" if name == "input" else name for name in node.input]
    model.graph.initializer.append(numpy_helper.from_array(np.asarray([2, 1, 0]), "order"))
    model.graph.node.insert(0, onnx.helper.make_node("Gather", ["input", "order"], ["turned"], axis=1))
    onnx.save(model, path)
    return path


def test_an_onnx_file_that_turns_colours_around_is_warned_of(lite0, tmp_path):
    source = str(turned_file(lite0, tmp_path / "net.onnx"))
    (warning,) = onnx_file.identify(Asked(source, "lite0"), source).warnings
    assert "--channels bgr" in warning
    for settled in ("rgb", "bgr"):
        assert not onnx_file.identify(Asked(source, "lite0", channels=settled), source).warnings


def test_an_onnx_file_whose_metadata_say_bgr_is_refused_until_it_is_settled(lite0, tmp_path):
    model = expand_functions(lite0.graph)
    for key, value in (("Image.ColorSpaceGamma", "SRGB"), ("Image.BitmapPixelFormat", "Bgr8")):
        model.metadata_props.add(key=key, value=value)
    source = str(tmp_path / "net.onnx")
    onnx.save(model, source)
    with pytest.raises(GraphError, match="Bgr8") as error:
        onnx_file.identify(Asked(source, "lite0"), source)
    assert "--channels bgr" in error.value.mend
    for settled in ("rgb", "bgr"):
        assert not onnx_file.identify(Asked(source, "lite0", channels=settled), source).warnings


def test_an_onnx_file_that_turns_colours_around_computes_the_same(lite0, run_onnx, tmp_path):
    source = str(turned_file(lite0, tmp_path / "net.onnx"))
    identity = onnx_file.identify(Asked(source), source)
    found = onnx_file.graph(Asked(source), identity, (64, 64))
    images = lite0.preprocess.normalise(lite0.images)[:2]
    assert sqnr(run_onnx(onnx.load(source), images), run_onnx(found, images)) > 80
    turn_around(found)  # as --channels bgr: what is left is the network in its own order
    assert sqnr(run_onnx(lite0.graph, images), run_onnx(found, images)) > 80


def test_a_mean_that_is_imagenets_backwards_is_warned_of():
    backwards = Preprocess((64, 64), (103.939, 116.779, 123.68), (1.0, 1.0, 1.0))  # Caffe's
    assert "--channels bgr" in order_warning(backwards, None)
    assert order_warning(backwards, "bgr") is order_warning(backwards, "rgb") is None
    assert order_warning(Preprocess((64, 64), *IMAGENET), None) is None
    assert order_warning(Preprocess((64, 64), *LITE), None) is None
    assert order_warning(Preprocess((64, 64), (116.0,), (57.0,)), None) is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("own", [False, True], ids=["one mean", "a mean for each"])
@pytest.mark.parametrize(
    ("target", "io"),
    [("cpu-int8", "uint8"), ("cpu-int8", "int8"), ("mobile-int8", "uint8"), ("mobile-int8", "float32")],
)
def test_integers_on_every_input(target, io, own, channels, photos, tmp_path, cache):
    """Lite0 with its real weights; with the colours turned around where there are three."""
    network = checkpoints.read(None, "lite0").network((96, 96))
    tensors = network.state_dict() if channels == 3 else with_channels(network, channels)
    rgb = Preprocess((96, 96), (0.0,) * 3, (1.0,) * 3)
    pixels = np.stack([rgb.fit(decode(photo, rgb)) for photo in photos])
    if channels != 3:
        pixels = np.concatenate([pixels, 255 - pixels[..., :1]], 3)[..., -channels:]
    mean = tuple(125.0 + 2 * i for i in range(channels)) if own else (127.0,)
    options = {"channels": "bgr"} if channels == 3 else {}
    built = build(
        *(tmp_path, tensors, pixels, cache, [target]),
        **{
            "mean": mean,
            "std": (128.0,),
            "io": io,
            "effort": "fast",
            "size": 96,
            "model": "lite0",
            **options,
        },
    )
    turned = pixels[..., ::-1] if channels == 3 else pixels
    x = ((turned - np.float32(mean)) / np.float32(128)).transpose(0, 3, 1, 2).astype(np.float32)
    expected = logits(tmp_path / "best.pt", x, size=96, model="lite0")
    assert sqnr(expected, built[target].bundle.predict(pixels)) > 14


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
@pytest.mark.parametrize(("channels", "colours"), [(1, 2), (3, 0), (4, None)])
def test_what_goes_to_a_jetson(channels, colours, module, make_images, tmp_path, cache):
    tensors = with_channels(module, channels) if channels != 3 else module.state_dict()
    pixels = made(make_images, channels)
    built = build(
        tmp_path, tensors, pixels, cache, ["jetson-int8"], mean=(127.0,), std=(128.0,), effort="fast"
    )
    bundle = built["jetson-int8"].bundle
    graph = onnx.load(bundle.folder / "model.qdq.onnx").graph
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [1, channels, 64, 64]
    deepstream = bundle.folder / "deploy/deepstream"
    if colours is None:
        assert "4 channels" in (deepstream / "README.txt").read_text()
        assert sorted(p.name for p in deepstream.iterdir()) == ["README.txt"]
    else:
        config = (deepstream / "config_infer_primary.txt").read_text()
        assert f"model-color-format={colours}\n" in config and f"infer-dims={channels};64;64\n" in config
    triton = next((bundle.folder / "deploy/triton").rglob("config.pbtxt")).read_text()
    assert f"dims: [ 1, {channels}, 64, 64 ]" in triton
    pixel = np.load(bundle.folder / "golden/inputs.npy")[:1]
    fed = golden.native_input(pixel, bundle.manifest.preprocess.to_json(), "float32")
    assert fed.shape == (1, channels, 64, 64)
    assert np.array_equal(fed, bundle.manifest.preprocess.normalise(pixel))
