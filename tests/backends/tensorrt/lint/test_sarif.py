"""Findings as SARIF: what the schema of 2.1.0 requires, and what a reader of it looks for."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from edgeeff.backends.tensorrt.lint import lint, rules, sarif

#: The properties that sarif-schema-2.1.0.json requires of the objects that we write, and all that it allows
#: of those where it allows no other (additionalProperties is false for every one of them).
REQUIRED = {
    "sarifLog": {"version", "runs"},
    "run": {"tool"},
    "tool": {"driver"},
    "toolComponent": {"name"},
    "reportingDescriptor": {"id"},
    "result": {"message"},
    "artifact": set(),
    "location": set(),
}
ALLOWED = {
    "sarifLog": {"$schema", "version", "runs", "inlineExternalProperties", "properties"},
    "run": {"tool", "artifacts", "results", "columnKind", "invocations", "logicalLocations", "properties"},
    "tool": {"driver", "extensions", "properties"},
    "toolComponent": {"name", "version", "semanticVersion", "rules", "fullDescription", "properties"},
    "reportingDescriptor": {
        *("id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration", "properties"),
    },
    "result": {"ruleId", "ruleIndex", "level", "message", "locations", "properties"},
    "artifact": {"location", "length", "mimeType", "hashes", "properties"},
    "location": {"physicalLocation", "logicalLocations", "message", "properties"},
}


def conforms(kind, value):
    assert REQUIRED[kind] <= value.keys() <= ALLOWED[kind], kind
    return value


@pytest.fixture(scope="module")
def bad(lite_hub):
    """A graph with an error and warnings."""
    model = onnx.ModelProto.FromString(lite_hub.SerializeToString())
    next(node for node in model.graph.node if node.op_type == "QuantizeLinear").input.pop()
    return model


@pytest.fixture(scope="module")
def found(bad):
    findings = lint(bad)
    assert findings
    return findings


def test_it_holds_what_the_schema_requires(found):
    log = conforms("sarifLog", json.loads(sarif.text({Path("a b/net.onnx"): found, Path("other.onnx"): []})))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = conforms("toolComponent", conforms("tool", conforms("run", run)["tool"])["driver"])
    for rule in driver["rules"]:
        conforms("reportingDescriptor", rule)
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
        assert all(rule[key]["text"] for key in ("shortDescription", "fullDescription", "help"))
        assert "helpUri" not in rule
    assert [conforms("artifact", a)["location"]["uri"] for a in run["artifacts"]] == [
        "a%20b/net.onnx",
        "other.onnx",
    ]
    assert len(run["results"]) == len(found)
    for result in run["results"]:
        conforms("result", result)
        assert result["level"] in ("none", "note", "warning", "error") and result["message"]["text"]
        (location,) = result["locations"]
        place = conforms("location", location)["physicalLocation"]["artifactLocation"]
        assert run["artifacts"][place["index"]]["location"]["uri"] == place["uri"]


def test_results_name_rule_node_and_versions(found):
    (run,) = sarif.log({Path("net.onnx"): found})["runs"]
    listed = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in listed] == [rule.identifier for rule in rules()]
    for result, finding in zip(run["results"], found, strict=True):
        assert listed[result["ruleIndex"]]["id"] == result["ruleId"] == finding.rule
        (logical,) = result["locations"][0]["logicalLocations"]
        assert logical["name"] == finding.node and logical["fullyQualifiedName"] == f"net.onnx#{finding.node}"
        assert result["properties"]["tensorrt"] == [str(version) for version in finding.versions]
        assert finding.message in result["message"]["text"] and finding.mend in result["message"]["text"]


def test_absolute_paths_are_file_uris(found, tmp_path):
    (run,) = sarif.log({tmp_path / "ü.onnx": found})["runs"]
    uri = run["artifacts"][0]["location"]["uri"]
    assert uri.startswith("file:///") and uri.endswith("%C3%BC.onnx")


def test_the_same_findings_give_the_same_bytes(bad, found):
    assert sarif.text({Path("net.onnx"): lint(bad)}) == sarif.text({Path("net.onnx"): found})
