"""Stages: sizes and regularisation that grow together."""

from __future__ import annotations

import pytest

from edgeeff.errors import OptionError
from edgeeff.training import stages
from edgeeff.training.stages import Stage, Strength, planned

END = Strength(magnitude=15, mixup=0.2, cutmix=0.1, dropout=0.3)


def test_stages_grow_together_up_to_the_deployments_own():
    found = planned(4, 20, (224, 320), END)
    assert [stage.begin for stage in found] == [0, 5, 10, 15]
    assert [stage.size for stage in found] == [(112, 160), (144, 208), (192, 272), (224, 320)]
    assert found[0].strength == Strength(5, 0, 0, 0.1) and found[-1].strength == END
    for name in ("magnitude", "mixup", "cutmix", "dropout"):
        values = [getattr(stage.strength, name) for stage in found]
        assert values == sorted(values) and len({*values}) == 4
    # The last size need be no multiple of 16, and weak ends are not exceeded before.
    small = planned(3, 3, (90, 33), Strength(magnitude=2))
    assert [stage.size for stage in small] == [(48, 16), (64, 32), (90, 33)]
    assert [stage.strength.magnitude for stage in small] == [2, 2, 2]
    assert small[0].strength.dropout == 0
    assert planned(1, 9, (90, 33), END) == (Stage(0, (90, 33), END),)


def test_each_epoch_has_one_stage():
    found = planned(4, 6, (64, 64), END)
    assert [found.index(stages.at(found, epoch)) for epoch in range(8)] == [0, 0, 1, 2, 2, 3, 3, 3]
    with pytest.raises(OptionError, match="--stages 4 with --epochs 3") as caught:
        planned(4, 3, (64, 64), END)
    assert "--epochs 4" in caught.value.mend


def test_few_photos_have_no_stages_unless_asked_for():
    assert stages.chosen(None, 9_999)[0] == 1 and "9999" in stages.chosen(None, 9_999)[1]
    assert stages.chosen(None, 10_000)[0] == 4 and "--stages 1" in stages.chosen(None, 10_000)[1]
    assert stages.chosen(3, 50)[0] == 3 and "few" in stages.chosen(3, 50)[1]
    assert stages.chosen(1, 50) == (1, "") and stages.chosen(2, 20_000) == (2, "")
    assert stages.described(planned(2, 2, (64, 96), END)[0]) == "photos of 48×32, magnitude 5, dropout 0.1"
