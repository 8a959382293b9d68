"""Files that would become far more than they are: refused by what their headers say, before they do."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from edgeeff import unpacking
from edgeeff.errors import BundleError, CheckpointError, ImageError, MissingFileError
from edgeeff.images import decode, open_images
from edgeeff.images.picture import Picture
from edgeeff.preprocess import Preprocess
from edgeeff.zoo import formats

PLAIN = Preprocess(size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)
#: Megabytes that a refusal may take beyond what the imports took.
MOST = 50


def npy(shape: tuple[object, ...], dtype: str = "|u1", body: bytes = b"", fortran: bool = False) -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def zeros(path: Path, header: bytes, size: int) -> Path:
    """An .npz whose images are zeros, written without ever being held."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images.npy", "w", force_zip64=True) as file,
    ):
        file.write(header)
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return path


TWO = npy((2, 2, 2, 3), body=bytes(24))


@pytest.mark.parametrize(
    "members",
    [
        {"images": npy((10**10, 1, 1, 3))},
        {"images": npy((10**10, 0, 0, 3))},
        {"images": npy((2, 0, 2, 3))},
        {"images": npy((-2, 2, 2, 3), body=bytes(24))},
        {"images": npy((2, 2, 2, 3), body=bytes(23))},
        {"images": npy((2, 2, 2, 3), body=bytes(25))},
        {"images": npy((True, 2, 2, 3), body=bytes(12))},
        {"images": npy((10**40, 2, 2, 3))},
        {"images": b"\x93NUMPY\x01\x00\xff\xff{"},
        {"images": b"\x93NUMPY\x09\x00" + TWO[8:]},
        {"images": b""},
        {"other": TWO},
        {"images": TWO, "labels": npy((10**10,), "<i8")},
        {"images": TWO, "labels": npy((10**30,), "<i8")},
        {"images": TWO, "labels": npy((2, 10**10, 0), "<i8")},
        {"images": TWO, "labels": npy((2,), "<f8", struct.pack("<2d", float("nan"), 1))},
        {"images": TWO, "labels": npy((2,), "<f8", struct.pack("<2d", float("inf"), 1))},
        {"images": TWO, "labels": npy((2,), "|O", bytes(16))},
        {"images": TWO, "labels": npy((2,), "|S0")},
        {"images": TWO, "labels": npy((3,), "<i8", bytes(24))},
        {"images": TWO, "labels": b""},
    ],
)
def test_an_npz_whose_headers_lie(members, tmp_path):
    with pytest.raises(MissingFileError, match=r"a\.npz"):
        open_images(npz(tmp_path / "a.npz", **members))


def test_an_npz_that_is_right_is_read(tmp_path):
    found = open_images(
        npz(tmp_path / "a.npz", images=TWO, labels=npy((2,), "<f8", struct.pack("<2d", 1, 0)))
    )
    assert [picture.label for picture in found.pictures] == [1, 0]


def test_one_colour_is_no_bomb(tmp_path):
    """A hundred grey images shrink a thousandfold, and so does a plain PNG."""
    np.savez_compressed(tmp_path / "a.npz", images=np.full((100, 64, 64, 3), 9, np.uint8))
    assert len(open_images(tmp_path / "a.npz").pictures) == 100
    Image.new("RGB", (3000, 2000), (1, 2, 3)).save(tmp_path / "a.png")
    assert decode(Picture(tmp_path / "a.png"), PLAIN).size == (3000, 2000)


def png(path: Path, width: int, height: int) -> Path:
    """A black PNG of any size, in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pack = zlib.compressobj(9)
    rows = b"".join(pack.compress(bytes(1 + 3 * width)) for _ in range(height)) + pack.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
    return path


def keras(path: Path) -> Path:
    """Zeros behind a little noise, always the same: HDF5 packs the zeros, the zip the copies of the noise."""
    values = np.zeros(1 << 18, np.float32)
    values[:3000] = np.random.default_rng(0).standard_normal(3000, np.float32)
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        group = file.create_group("layers/dense/vars")
        for number in range(80):
            group.create_dataset(str(number), data=values, chunks=values.shape, compression="gzip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", held.getvalue())
    return path


def peak(code: str, *arguments: Path) -> int:
    """Megabytes that a process grew by while it ran the code."""
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from edgeeff.images import decode, open_images\n"
        "from edgeeff.images.picture import Picture\n"
        "from edgeeff.preprocess import Preprocess\n"
        "from edgeeff.errors import EdgeeffError\n"
        "path = Path(sys.argv[1])\n"
        "PLAIN = Preprocess(size=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)\n"
        "def used(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = used()\n"
        f"try:\n    {code}\nexcept EdgeeffError: print(used() - before >> 10)\n"
    )
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)


def test_a_picture_that_explodes(tmp_path):
    path = png(tmp_path / "a.png", 6000, 6000)
    assert path.stat().st_size < 1 << 19
    with pytest.raises(ImageError, match="6000 x 6000 pixels"):
        decode(Picture(path), PLAIN)
    assert peak("decode(Picture(path), PLAIN)", path) < MOST


def test_an_npz_that_explodes(tmp_path):
    """Refused by its header: nothing is unpacked, in memory or to a temporary file."""
    size = 192 << 20
    path = zeros(tmp_path / "a.npz", npy((64, 1 << 20, 1, 3)), size)
    with pytest.raises(MissingFileError, match=f"would unpack to {size} bytes"):
        open_images(path)
    assert peak("open_images(path)", path) < MOST
    many = zeros(tmp_path / "b.npz", npy((3 << 20, 1, 1, 1)), 3 << 20)  # small, but a list of millions
    with pytest.raises(MissingFileError, match="would unpack"):
        open_images(many)


def test_a_keras_archive_whose_packings_multiply(tmp_path):
    path = keras(tmp_path / "a.keras")
    with pytest.raises(CheckpointError, match="would unpack to 83886080 bytes"):
        formats.read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npy((10**12, 8), "<f4"),
        npy((2, 2), "<f4", bytes(15)),
        npy((2, 2), "<f4", bytes(17)),
        npy((2, 2), "|O", bytes(32)),
        npy((2, -2), "<f4", bytes(16)),
        b"PK\x03\x04 a zip",
        npy((2, "x"), "<f4", bytes(16)),
        npy((2, 2), "<f4,,", bytes(16)),
    ],
)
def test_an_npy_that_lies(content, tmp_path):
    path = tmp_path / "hub.npy"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"hub\.npy cannot be read"):
        unpacking.npy(path, BundleError, "build the bundle again")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f2", "<i8"])
def test_an_npy_as_numpy_writes_it(dtype, order, tmp_path):
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    found = unpacking.npy(tmp_path / "a.npy", BundleError, "")
    assert found.dtype == array.dtype and np.array_equal(found, array) and found.flags.writeable
    np.save(tmp_path / "a.npy", array[:0])
    assert unpacking.npy(tmp_path / "a.npy", BundleError, "").shape == (0, 3, 4)
