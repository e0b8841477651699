"""A segment file: its header checked, its bytes mapped for reading."""

import mmap
import os
import struct
from collections import namedtuple

import numpy as np

from .checksum import crc32c
from .errors import Damaged, NewerFormat

_HEADER = struct.Struct("<8sHHIQQ16sQQqQQQQQ32sQ")
Header = namedtuple(
    "Header",
    (
        "magic major minor header_bytes compatible incompatible journal_id index first_sequence base_time "
        "segment_bytes salt epoch predecessor_first_sequence predecessor_used_bytes predecessor_hash durable_sequence"
    ),
)
HEADER_BYTES, FRAME_BYTES_MAX, SEAL_SPAN = 4096, 65536, 64


class Segment:
    """One segment file: its header checked, its bytes mapped."""

    def __init__(self, path, first_sequence):
        self.path = path
        with open(path, "rb") as file:
            self.file_bytes = os.fstat(file.fileno()).st_size
            if self.file_bytes < HEADER_BYTES:
                raise self._headless(short_file(self.file_bytes, HEADER_BYTES), first_sequence)
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        page = self.map[:HEADER_BYTES]
        header = self.header = Header(*_HEADER.unpack_from(page))
        self._check(page, header, first_sequence)
        self.len = min(self.file_bytes, header.segment_bytes)
        self.words = np.frombuffer(self.map, dtype="<i8", count=self.len // 8)
        self.view = memoryview(self.map)
        self.seed = crc32c(struct.pack("<QQ", header.salt, header.epoch))

    def _headless(self, what, first_sequence):
        return Damaged(what, self.path, 0, first_sequence)

    def _check(self, page, header, first_sequence):
        if header.magic != b"PAWLJRNL":
            raise self._headless("the segment header is missing", first_sequence)
        if crc32c(page[:4092]) != int.from_bytes(page[4092:], "little"):
            raise self._headless("the segment header does not have its checksum", first_sequence)
        if header.major != 1:
            raise NewerFormat(f"journal format {header.major}.{header.minor}", self.path, 0, first_sequence)
        if header.incompatible:
            feature = _feature_name(page, (header.incompatible & -header.incompatible).bit_length() - 1)
            raise NewerFormat(feature, self.path, 0, first_sequence)
        numbers = (header.first_sequence, header.index, header.epoch)
        fits = 1 << 20 <= header.segment_bytes <= 1 << 32 and header.segment_bytes % 4096 == 0
        for is_wrong, what in (
            (header.first_sequence != first_sequence, "name"),
            (not fits, "length"),
            (not all(1 <= number < 1 << 58 for number in numbers), "numbers"),
            (header.header_bytes != HEADER_BYTES, "header length"),
        ):
            if is_wrong:
                raise self._headless(f"the segment header contradicts the file in its {what}", first_sequence)


def short_file(found, expected):
    return f"the file has {found} bytes instead of {expected}"


def _feature_name(page, bit):
    """The name of an incompatible feature, from the lines `BIT NAME` that its writer left."""
    for line in page[1024:2048].rstrip(b"\0").decode("utf-8", "replace").splitlines():
        number, _, name = line.partition(" ")
        if number == str(bit) and name:
            return f'feature "{name}" (bit {bit})'
    return f"feature bit {bit}"
