"""Whether a processor's SME outer products of bytes are right: SMOPA, UMOPA, SUMOPA, USMOPA in 32-bit tiles.

Run by Python on aarch64, with numpy: it writes the few instructions into memory and calls them. Exit status 1
where one is wrong. qemu 7.2 has them wrong (``-cpu max``), qemu 10.0 right.
"""

import ctypes
import mmap
import struct
import sys

import numpy as np

SMSTART, SMSTOP, RET = 0xD503477F, 0xD503467F, 0xD65F03C0
PRODUCTS = {
    "SMOPA": (0xA0800000, np.int8, np.int8),
    "UMOPA": (0xA1A00000, np.uint8, np.uint8),
    "SUMOPA": (0xA0A00000, np.int8, np.uint8),
    "USMOPA": (0xA1800000, np.uint8, np.int8),
}


def function(*code):
    """Instructions as a function of four registers."""
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(b"".join(struct.pack("<I", word) for word in (SMSTART, *code, SMSTOP, RET)))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return memory, ctypes.CFUNCTYPE(ctypes.c_uint64, *[ctypes.c_void_p] * 4)(address)


def main():
    """Each product on random bytes."""
    _held, length = function(0x04BF5020)  # rdvl x0, #1
    count = length(0, 0, 0, 0) // 4
    random, wrong = np.random.default_rng(0), 0
    for name, (code, of_first, of_second) in PRODUCTS.items():
        first, second = random.integers(0, 256, (2, 4 * count)).astype(np.uint8)
        expected = first.view(of_first).astype(int).reshape(count, 4)
        expected = expected @ second.view(of_second).astype(int).reshape(count, 4).T
        found = np.zeros((count, count), np.int32)
        _held, row_of = function(
            0xC00800FF,  # zero {za}
            0x2518E3E0,  # ptrue p0.b
            0xA400A001,  # ld1b {z1.b}, p0/z, [x0]
            0xA400A022,  # ld1b {z2.b}, p0/z, [x1]
            code | 2 << 16 | 1 << 5,  # …mopa za0.s, p0/m, p0/m, z1.b, z2.b
            0x2A0303EC,  # mov w12, w3
            0xE0BF0040,  # st1w {za0h.s[w12, 0]}, p0, [x2]
        )
        for row in range(count):
            row_of(first.ctypes.data, second.ctypes.data, found[row:].ctypes.data, row)
        off = int((found != expected).sum())
        print(f"{name}: {off} of {count * count} sums are wrong" if off else f"{name}: right")
        wrong += off
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
