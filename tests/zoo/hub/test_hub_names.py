"""Names of repositories and revisions."""

from __future__ import annotations

import pytest

from edgeeff.errors import OptionError
from edgeeff.zoo import catalog
from edgeeff.zoo.hub import parse

NAME = "timm/tf_efficientnet_b3.aa_in1k"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NAME, (NAME, None)),
        (f"hf-hub:{NAME}", (NAME, None)),
        (f"hf_hub:{NAME}@v1", (NAME, "v1")),
        ("a/b@refs/pr/1", ("a/b", "refs/pr/1")),
        (
            "o_w/n-a.m_e@0123456789abcdef0123456789abcdef01234567",
            ("o_w/n-a.m_e", "0123456789abcdef0123456789abcdef01234567"),
        ),
    ],
)
def test_names(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "imagenet", "a/", "/b", "a/b/c", "a//b", "../b", "a/..", "a/b..c", "a/b--c", "a/.b", "-a/b",
        "a/b-", "a/b.git", "a b/c", "a/b?", "ä/b", "a\n/b", "a\\b/c", "a/" + "b" * 97, "https://huggingface.co/a/b",
        "hf-hub:", "hf:a/b", "a/b@", "a/b@../x", "a/b@-x", "a/b@/x", "a/b@x/", "a/b@x y", "a/b@x@y",
        "a/b@x.lock",
    ],
)  # fmt: skip
def test_malformed_names(text):
    with pytest.raises(OptionError) as refused:
        parse(text)
    assert repr(text) in refused.value.what


@pytest.mark.parametrize("model", [spec.name for spec in catalog.classifiers() if spec.hub])
def test_the_catalogs_repositories_are_well_named(model):
    repository = catalog.get(model).hub
    assert parse(repository) == (repository, None)
