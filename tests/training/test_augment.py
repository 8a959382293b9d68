"""RandAugment's operators, and what mixes and crops photos."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from edgeeff.training.augment import operators
from edgeeff.training.augment.crop import RandomCrop
from edgeeff.training.augment.mixing import Mixing
from edgeeff.training.augment.randaugment import RandAugment

WITHOUT_STRENGTH = ("autocontrast", "equalize", "invert")


class Always(np.random.Generator):
    """The first of two ways, or the other one."""

    def __init__(self, first: bool) -> None:
        super().__init__(np.random.PCG64(0))
        self._drawn = 0.0 if first else 0.9

    def random(self, *_args, **_kwargs):
        return self._drawn


def photo(mode: str = "RGB", size: tuple[int, int] = (40, 32)) -> Image.Image:
    """Smooth, of middling light, and another one in each corner."""
    values = np.random.default_rng(0).integers(60, 180, (4, 5, len(Image.new(mode, (1, 1)).getbands())))
    bands = [Image.fromarray(values[:, :, i].astype(np.uint8)) for i in range(values.shape[2])]
    return Image.merge(mode, bands).resize(size, Image.Resampling.BICUBIC)


def apply(name: str, image: Image.Image, magnitude: float, first: bool = True) -> np.ndarray:
    return np.asarray(operators.operator(name).apply(image, magnitude, Always(first))).astype(int)


def test_there_are_the_authors_sixteen():
    authors = "autocontrast equalize invert rotate posterize solarize colour contrast brightness sharpness"
    authors += " shear_x shear_y translate_x translate_y cutout solarize_add"
    assert operators.names() == tuple(sorted(authors.split()))


@pytest.mark.parametrize("name", operators.names())
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_operators_keep_size_mode_and_what_they_were_given(name, mode):
    image = photo(mode)
    before, changed = np.asarray(image), []
    for magnitude in (0.0, 3.0, 10.0, 30.0):
        found = operators.operator(name).apply(image, magnitude, np.random.default_rng(1))
        again = operators.operator(name).apply(image, magnitude, np.random.default_rng(1))
        assert (found.size, found.mode) == (image.size, image.mode)
        assert np.array_equal(found, again) and np.array_equal(image, before)
        changed.append(np.abs(np.asarray(found).astype(int) - before).mean())
    if mode == "CMYK" and not operators.operator(name).MOVES:
        assert np.array_equal(found.split()[3], image.split()[3])
    if name in WITHOUT_STRENGTH:
        assert len({*changed}) == 1 and changed[0] > 0
    elif (mode, name) != ("L", "colour"):  # grey has none
        assert 0 == changed[0] <= changed[1] < changed[3]


def test_colours_go_where_operators_say():
    image = photo()
    plain = np.asarray(image).astype(int)
    assert np.array_equal(apply("invert", image, 5), 255 - plain)
    assert apply("autocontrast", image, 5).min((0, 1)).tolist() == [0, 0, 0]
    assert apply("equalize", image, 5).std() > plain.std()
    assert apply("brightness", image, 5).mean() > plain.mean() > apply("brightness", image, 5, False).mean()
    for name in ("contrast", "colour", "sharpness"):
        more, less = apply(name, image, 5), apply(name, image, 5, False)
        spread = [each.std(2 if name == "colour" else None).mean() for each in (less, plain, more)]
        assert spread == sorted(spread) and len({*spread}) == 3
    assert len(np.unique(apply("posterize", image, 30))) <= 4 < len(np.unique(apply("posterize", image, 15)))
    assert np.array_equal(apply("solarize", image, 15), np.where(plain < 128, plain, 255 - plain))
    assert np.array_equal(apply("solarize", image, 30), 255 - plain)
    assert np.array_equal(apply("solarize_add", image, 3), np.where(plain < 128, plain + 33, plain))


def test_what_moves_moves_by_its_share_and_leaves_grey():
    image = photo(size=(100, 80))
    plain = np.asarray(image).astype(int)
    left, right = apply("translate_x", image, 2), apply("translate_x", image, 2, False)
    assert np.array_equal(left[:, :91], plain[:, 9:]) and (left[:, 91:] == 128).all()
    assert np.array_equal(right[:, 9:], plain[:, :91]) and (right[:, :9] == 128).all()
    assert np.abs(apply("translate_y", image, 10)[:44] - plain[36:]).max() <= 1
    turned = apply("rotate", image, 30)  # a quarter to the left about the centre
    middle = np.rot90(plain[:, 10:90])
    assert np.abs(turned[1:79, 11:89] - middle[1:79, 1:79]).max() <= 2
    sheared = apply("shear_x", image, 10)
    assert np.abs(sheared[0, :99] - plain[0, :99]).max() <= 4 and (sheared[-1, -20:] == 128).all()
    assert np.abs(apply("shear_y", image, 10)[:79, 0] - plain[:79, 0]).max() <= 4
    holes = (apply("cutout", image, 10) != plain).any(2)
    rows, columns = np.flatnonzero(holes.any(1)), np.flatnonzero(holes.any(0))
    assert 1 <= len(rows) <= 28 and 1 <= len(columns) <= 28  # 2 · 18 % of 80
    assert (apply("cutout", image, 10)[holes] == 128).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_randaugment_hangs_on_its_generator_alone(channels):
    pixels = np.random.default_rng(2).integers(0, 256, (24, 20, channels), np.uint8)
    kept, augment = pixels.copy(), RandAugment(9)
    found = [augment(pixels, np.random.default_rng(seed)) for seed in (*range(12), 0)]
    assert np.array_equal(pixels, kept)
    assert all(one.shape == pixels.shape and one.dtype == np.uint8 for one in found)
    assert np.array_equal(found[0], found[-1]) and len({one.tobytes() for one in found}) > 8
    assert RandAugment(0)(pixels, np.random.default_rng(0)) is pixels
    assert np.array_equal(RandAugment(9, layers=0)(pixels, np.random.default_rng(0)), pixels)


def test_randaugment_leaves_things_where_they_are_if_asked():
    pixels = np.full((20, 20, 3), 90, np.uint8)
    pixels[5, 7] = 200
    for seed in range(40):
        found = RandAugment(8, layers=3, moving=False)(pixels, np.random.default_rng(seed))
        marked = np.argwhere((found.astype(int) != found[0, 0]).any(2))
        assert not len(marked) or np.abs(marked - [5, 7]).max() <= 1  # sharpness reaches the neighbours


def batch(count: int = 6) -> torch.Tensor:
    """Photos each of whose pixels says which it is."""
    return torch.arange(count).float().view(-1, 1, 1, 1).expand(-1, 3, 20, 30)


def test_mixup_gives_a_photo_at_least_half_and_its_label_as_much():
    x = batch()
    mixed = Mixing(mixup=0.5)(x, np.random.default_rng(0))
    assert mixed.partner.tolist() == [5, 4, 3, 2, 1, 0] and torch.equal(x, batch())
    for number in range(6):
        own = mixed.own[number]
        assert 0.5 <= own < 1
        assert torch.allclose(mixed.x[number], own * number + (1 - own) * (5 - number))


def test_cutmix_takes_a_rectangle_and_its_area_of_the_label():
    x = batch(7)
    mixed = Mixing(cutmix=1.0)(x, np.random.default_rng(3))
    taken = []
    for number in range(7):
        if number == 3:  # its own partner
            assert mixed.own[3] == 1 and torch.equal(mixed.x[3], x[3])
            continue
        partner = mixed.x[number] == 6 - number
        assert (partner | (mixed.x[number] == number)).all() and mixed.partner[number] == 6 - number
        assert abs(1 - partner.float().mean() - mixed.own[number]) < 1e-6
        rows, columns = partner[0].any(1).sum(), partner[0].any(0).sum()
        assert partner[0].sum() == rows * columns
        taken.append(float(partner.float().mean()))
    assert max(taken) > 0.2 and len({*taken}) > 3


def test_both_halve_the_batch_and_none_changes_nothing():
    x = batch(8)
    assert not Mixing() and torch.equal(Mixing()(x, np.random.default_rng(0)).x, x)
    mixed, again = (Mixing(1.0, 1.0)(x, np.random.default_rng(0)) for _ in range(2))
    assert torch.equal(mixed.x, again.x) and torch.equal(mixed.own, again.own)
    assert mixed.partner.tolist() == [3, 2, 1, 0, 7, 6, 5, 4]
    assert all(len(mixed.x[i].unique()) == 1 for i in range(4)) and len(mixed.x[4:].unique()) == 4
    for alone in (Mixing(1.0, 1.0), Mixing(1.0), Mixing(0.0, 1.0)):
        single = alone(x[5:6], np.random.default_rng(0))
        assert torch.equal(single.x, x[5:6]) and single.own.tolist() == [1]


def test_crops_are_parts_of_the_photo_of_the_areas_that_were_asked_for():
    size, random = (90, 60), np.random.default_rng(0)
    areas = []
    for _ in range(200):
        left, top, right, bottom = RandomCrop(0.25).box(size, random)
        assert 0 <= left < right <= 90 and 0 <= top < bottom <= 60
        areas.append((right - left) * (bottom - top) / 5400)
        assert 0.7 < (right - left) / (bottom - top) < 1.43 or areas[-1] == 1
    assert 0.23 < min(areas) < 0.35 and max(areas) > 0.8
    assert RandomCrop(0.5).box((500, 2), random) == (0, 0, 500, 2)  # no part has such a ratio of sides
    image = photo()
    found = {RandomCrop(1.0)(image, np.random.default_rng(seed)).tobytes() for seed in range(8)}
    assert found == {image.tobytes(), image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()}
    assert {RandomCrop(1.0, mirror=False)(image, random).tobytes()} == {image.tobytes()}
