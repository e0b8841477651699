"""CRC-32C in numpy: of one short run of bytes, or of many frames side by side."""

from functools import lru_cache

import numpy as np

_CHUNK_WORDS = 16


@lru_cache(maxsize=None)
def _tables():
    """A byte table, four tables of half words for one word of eight bytes, two that append a chunk of zeros."""
    byte = np.arange(256, dtype=np.int64)
    for _ in range(8):
        byte = (byte >> 1) ^ np.where(byte & 1, 0x82F63B78, 0)
    slices = [byte]
    for _ in range(7):
        slices.append((slices[-1] >> 8) ^ byte[slices[-1] & 0xFF])
    half = np.arange(1 << 16, dtype=np.int64)
    low, high = half & 0xFF, half >> 8
    word = [slices[7 - 2 * at][low] ^ slices[6 - 2 * at][high] for at in range(4)]
    shift = [half, half << 16]
    for _ in range(_CHUNK_WORDS):
        shift = [word[0][it & 0xFFFF] ^ word[1][it >> 16] for it in shift]
    return [int(it) for it in byte], word, shift


def crc32c(data, start=0):
    """CRC-32C (Castagnoli) of bytes, continued from `start`. For short runs: it goes byte by byte."""
    table = _tables()[0]
    crc = start ^ 0xFFFFFFFF
    for byte in bytes(data):
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def crc32c_all(words, starts, counts, seeds):
    """CRC-32C of many runs of eight-byte words at once, each continued from its own seed.

    A checksum is linear: every run is cut into chunks of equal length, counted from its end, all chunks go through
    the tables side by side, and then each run's chunks are put together.
    """
    _, (t0, t1, t2, t3), (low, high) = _tables()
    chunks = -(-counts // _CHUNK_WORDS)
    first = np.cumsum(chunks) - chunks
    owner = np.repeat(np.arange(len(starts)), chunks)
    number = np.arange(len(owner)) - first[owner]
    begin = (starts + counts)[owner] - (chunks[owner] - number) * _CHUNK_WORDS
    index = begin + np.arange(_CHUNK_WORDS)[:, None]
    block = words[index]
    # What lies in front of a run does not count; what it is continued from goes into its first four bytes.
    block[:, first] = np.where(index[:, first] < starts, 0, block[:, first])
    block[starts - begin[first], first] ^= seeds ^ 0xFFFFFFFF
    state = np.zeros(len(owner), dtype=np.int64)
    for row in block:
        row ^= state
        state = t0[row & 0xFFFF] ^ t1[row >> 16 & 0xFFFF] ^ t2[row >> 32 & 0xFFFF] ^ t3[row >> 48 & 0xFFFF]
    order = np.argsort(-chunks, kind="stable")
    left, at = chunks[order], first[order]
    crc = state[at]
    for step in range(1, int(chunks.max(initial=0))):
        more = int(np.searchsorted(-left, -step))
        crc[:more] = low[crc[:more] & 0xFFFF] ^ high[crc[:more] >> 16] ^ state[at[:more] + step]
    result = np.empty_like(crc)
    result[order] = crc ^ 0xFFFFFFFF
    return result
