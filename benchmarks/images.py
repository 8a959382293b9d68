"""Make the image sets that the figures of a Lite network are measured on.

    python -m benchmarks.images OUTPUT [--model lite0] [--wallpapers FOLDER …]

calibration.npz  the 20 ImageNet photos that foolbox carries, labelled, and 80 seeded crops of them
photos.npz       those 20 alone: the only labelled ones, for top-1
judge.npz        200 seeded crops of other photos: scikit-image's and scikit-learn's, and wallpapers where
                 a folder of them is named (Debian's mate-backgrounds, nature/, was used for our figures)

All are uint8 [N, H, W, 3] at the network's size; crops have the label -1, and seed and order are fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.table import arguments, show
from edgeeff.images import ImageSet, Picture, open_images, with_crops
from edgeeff.preprocess import Preprocess
from edgeeff.zoo import catalog

# Colour photographs; scikit-image's other pictures are drawings, textures or grey.
SCIKIT_IMAGE = (
    *("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg"),
    *("ihc.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg"),
)
SCIKIT_LEARN = ("china.jpg", "flower.jpg")

CALIBRATION_SEED, JUDGE_SEED = 0, 1


def package_file(package: str, path: str) -> Path:
    """A file that an installed package carries."""
    found = find_spec(package)
    for folder in (found.submodule_search_locations or []) if found else []:
        if (Path(folder) / path).exists():
            return Path(folder) / path
    raise SystemExit(f"{package} with {path} is not installed: pip install -e '.[demo]'")


def foolbox_photos() -> list[Picture]:
    """The 20 ImageNet photos of foolbox, labelled by the number after the last underscore of their names."""
    files = sorted(package_file("foolbox", "data").glob("imagenet_*.jpg"))
    return [Picture(file, label=int(file.stem.rpartition("_")[2])) for file in files]


def other_photos(wallpapers: Sequence[Path]) -> list[Picture]:
    """Photos that calibration never saw."""
    files = [package_file("skimage", f"data/{name}") for name in SCIKIT_IMAGE]
    files += [package_file("sklearn", f"datasets/images/{name}") for name in SCIKIT_LEARN]
    found = [replace(p, label=-1) for folder in wallpapers for p in open_images(folder).pictures]
    return [Picture(file) for file in files] + found


def write(path: Path, pictures: Sequence[Picture], preprocess: Preprocess) -> dict[str, object]:
    """Decode and fit the pictures into an .npz; returns a row about it."""
    images = ImageSet(tuple(pictures))
    pixels = np.concatenate([batch for batch, _ in images.batches(preprocess)])
    if images.bad:
        raise SystemExit(f"cannot be decoded: {images.bad}")
    np.savez(path, images=pixels, labels=np.array([p.label for p in pictures], np.int64))
    return {
        "set": path.name,
        "images": len(pictures),
        "labelled": sum(p.label >= 0 for p in pictures),
        "photos": len({p.path for p in pictures}),
        "size": "×".join(map(str, pixels.shape[1:3])),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--size", type=int, help="height and width, pixels; default: the network's own")
    parser.add_argument("--wallpapers", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--calibration-count", type=int, default=100, help="photos and crops together")
    parser.add_argument("--judge-count", type=int, default=200)
    options = parser.parse_args()

    size = (options.size, options.size) if options.size else None
    preprocess = catalog.get(options.model).preprocess(size)
    photos = foolbox_photos()
    crops = with_crops(photos, options.calibration_count - len(photos), CALIBRATION_SEED)
    others = with_crops(other_photos(options.wallpapers), options.judge_count, JUDGE_SEED)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = [
        write(options.output / "calibration.npz", [*photos, *crops], preprocess),
        write(options.output / "photos.npz", photos, preprocess),
        write(options.output / "judge.npz", others, preprocess),
    ]
    show(f"Image sets for {options.model}", rows)


if __name__ == "__main__":
    main()
