"""What every report says of itself."""

import hashlib
import re
import shutil
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np

import edgeeff
from edgeeff.bundle import Bundle
from edgeeff.harness import machine
from edgeeff.harness.record import environment, environment_digest, record


def digest(bundle):
    return hashlib.sha256((bundle.folder / "manifest.json").read_bytes()).hexdigest()


def test_reports_name_their_run_bundles_and_environment(make_bundle, colours, tmp_path):
    np.savez(tmp_path / "colours.npz", images=colours[0], labels=colours[1])
    bundle, control = make_bundle("int8"), make_bundle("float")
    begun = datetime.now(timezone.utc).replace(microsecond=0)
    first, second = (
        edgeeff.evaluate(bundle, tmp_path / "colours.npz", reference=control).to_json()["record"]
        for _ in range(2)
    )
    timed = edgeeff.benchmark([bundle], launches=1, seconds=0.01).to_json()["record"]
    assert [data["kind"] for data in (first, timed)] == ["accuracy", "latency"]
    assert first["bundles"] == {"int8": digest(bundle), "float": digest(control)}
    assert timed["bundles"] == {"int8": digest(bundle)}
    twin = Bundle.load(shutil.copytree(bundle.folder, tmp_path / "twin"))
    (twin.folder / "manifest.json").write_text((twin.folder / "manifest.json").read_text() + "\n")
    named = record("accuracy", [bundle, twin, bundle]).bundles
    assert named == {"int8": digest(bundle), f"int8 ({twin.folder})": digest(twin)}
    runs = {data["run_id"] for data in (first, second, timed)}
    assert len(runs) == 3 and all(re.fullmatch(r"[0-9a-f]{32}", run) for run in runs)
    for data in (first, second, timed):
        assert data["schema_version"] == 1
        assert (
            begun <= datetime.fromisoformat(data["utc"].replace("Z", "+00:00")) <= datetime.now(timezone.utc)
        )
        assert data["environment_sha256"] == environment_digest(data["environment"])
        assert data["environment_sha256"] == first["environment_sha256"]


def test_an_environment_differs_by_what_decides_about_figures_alone():
    here = machine.describe()
    own = environment_digest(environment(here))
    # Databases and baselines hold such digests: they are made of this text for good.
    text = b'{"a":[1,0.5,null],"b":"\\u00fc"}'
    assert environment_digest({"b": "ü", "a": [1, 0.5, None]}) == hashlib.sha256(text).hexdigest()
    assert environment_digest(environment(replace(here, load_average=(9.0, 9.0, 9.0)))) == own
    for other in (
        replace(here, cpu="another"),
        replace(here, governor="powersave"),
        replace(here, versions={**here.versions, "numpy": "0.0"}),
    ):
        assert environment_digest(environment(other)) != own
