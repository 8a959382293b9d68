"""A bundle's own golden vectors, run by its real runtime."""

import numpy as np
import pytest

from edgeeff.bundle import write_bundle
from edgeeff.errors import BundleError
from edgeeff.harness.golden import check_golden


def altered(bundle, **arrays):
    """The bundle, sealed anew with other files."""
    files = {name: (bundle.folder / name).read_bytes() for name in bundle.manifest.files}
    for name, array in arrays.items():
        path = bundle.folder / f"{name}.npy"
        np.save(path, array)
        files[f"golden/{name}.npy" if name == "inputs" else f"golden/{name}/logits.npy"] = path.read_bytes()
        path.unlink()
    return write_bundle(bundle.folder, bundle.manifest, files)


def hub(bundle):
    return np.load(bundle.folder / "golden" / "hub" / "logits.npy")


def test_a_sound_bundle_passes(make_bundle):
    check = check_golden(make_bundle())
    assert check.status == "ok"
    assert check.images == 4
    assert check.hub_sqnr > 60 and check.float_sqnr > 60


@pytest.mark.parametrize(("factor", "status"), [(0.9, "ok"), (0.88, "failed")])
def test_19_db_to_the_hub_decide(make_bundle, factor, status):
    bundle = make_bundle()
    # A hub f times the artifact's logits: the noise is (1 − f)/f of the signal, 19.1 and 17.3 dB.
    # The float graph agrees with that hub, so the noise is none of quantisation.
    wanted = hub(bundle) * factor
    check = check_golden(altered(bundle, hub=wanted, float=wanted * 1.001))
    assert check.status == status
    assert check.hub_sqnr == pytest.approx(20 * np.log10(factor / (1 - factor)), abs=0.01)


@pytest.mark.parametrize(("of_float", "status"), [(2.0, "ok"), (0.98, "ok"), (0.95, "ok"), (0.81, "failed")])
def test_a_hub_far_from_the_float_graph_asks_for_as_much_as_independent_errors_leave(
    make_bundle, of_float, status
):
    bundle = make_bundle()
    artifact = hub(bundle)
    # The hub is 17.3 dB from the artifact. A float graph 5.0 dB from the hub, or 19.8, makes that noise of
    # quantisation; so does one that the artifact is nearer to than the hub is. One 21.3 dB from the hub, on
    # its other side, makes it a fault of lowering.
    check = check_golden(altered(bundle, hub=artifact * 0.88, float=artifact * of_float))
    assert check.status == status


def test_a_bundle_without_golden_vectors_is_not_run(make_bundle):
    check = check_golden(make_bundle(golden=False))
    assert (check.status, check.hub_sqnr) == ("NOT RUN", None)


def test_golden_files_that_do_not_fit(make_bundle):
    bundle = make_bundle()
    with pytest.raises(BundleError, match="3 outputs"):
        check_golden(altered(bundle, hub=hub(bundle)[:3], float=hub(bundle)[:3]))
    with pytest.raises(BundleError, match="no golden vectors"):
        check_golden(altered(bundle, inputs=np.zeros((4, 8, 8, 3), np.float32)))
    with pytest.raises(BundleError, match="no golden vectors"):
        check_golden(altered(bundle, hub=np.full((4, 3), "a"), float=np.full((4, 3), "a")))
    with pytest.raises(BundleError, match="cannot be read"):
        check_golden(altered(bundle, hub=np.array([{}], object)))
