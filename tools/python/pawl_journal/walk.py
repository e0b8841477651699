"""The walk through a segment: the only code that decides which frames are sane, whole and next.

| header | step | step | pad | step | seal |
         scan > Block of steps, many at a time
"""

import struct
from collections import namedtuple

import numpy as np

from .checksum import crc32c_all
from .errors import Damaged, NewerFormat
from .segment import FRAME_BYTES_MAX, HEADER_BYTES, SEAL_SPAN, short_file

STEP, PAD, SEAL, SYNC, EPOCH = 1, 2, 3, 4, 5
KNOWN = [STEP, PAD, SEAL, EPOCH]
SKIPPABLE, ROLLED = 1, 1
_WINDOW_MIN, _WINDOW_MAX = 1 << 16, 1 << 22

Seal = namedtuple("Seal", "last_sequence used_bytes next_first_sequence reason")
Block = namedtuple("Block", "segment offsets lens sequences times")


class Walk:
    """A place in a segment and what must come there. Decides which frames are sane, whole and next."""

    def __init__(self, segment, check):
        header = segment.header
        self.segment, self.check = segment, check
        self.offset, self.next, self.time = HEADER_BYTES, header.first_sequence, header.base_time
        self.durable, self.seal, self.window = header.durable_sequence, None, _WINDOW_MIN

    def scan(self):
        """Moves over the frames that come next and gives their steps; None where there is nothing yet.

        Frames in front of a bad one are given first; the bad one is looked at again, and raised, by the next call.
        """
        words, room = self.segment.words, self.segment.header.segment_bytes
        if self.seal is not None:
            return None
        if self.offset + 32 > self.segment.len:
            raise self.damaged(short_file(self.segment.file_bytes, room))
        if words[self.offset // 8] == 0:
            self.window = _WINDOW_MIN
            return None
        offsets, commits = self._chain()
        lens, stored = commits & 0xFFFFFFFF, commits >> 32 & 0xFFFFFFFF
        ends = offsets + (lens + 31) // 32 * 32
        sane = (lens >= 32) & (lens <= FRAME_BYTES_MAX) & (lens % 8 == 0) & (ends <= min(room, self.segment.len))
        good = leading(sane)
        offsets, lens, stored, ends = (column[:good] for column in (offsets, lens, stored, ends))
        at = offsets // 8
        if self.check:
            seeds = offsets ^ self.segment.seed
            good = leading(crc32c_all(words, at + 1, lens // 8 - 1, seeds) == stored)
        sequences, times, heads = words[at + 1], words[at + 2], words[at + 3]
        kinds, flags = heads & 0xFFFF, heads >> 16 & 0xFFFF
        steps = kinds == STEP
        before = np.concatenate(([self.time], times[:-1])) if good else times
        fits = (sequences == self.next + np.cumsum(steps) - steps) & (times >= before) & (steps | (times == before))
        fits &= (kinds == SEAL) | (ends + SEAL_SPAN <= room)
        fits &= np.isin(kinds, KNOWN) | (flags & SKIPPABLE != 0)
        good = leading(fits[:good])
        for place in np.flatnonzero(~steps[:good]):
            if not self._control(int(kinds[place]), int(offsets[place]), int(lens[place]), int(sequences[place])):
                good = int(place)
                break
            if self.seal is not None:
                good = int(place) + 1
                break
        if good == 0:
            self._refuse()
        if self.seal is None:
            self.offset = int(ends[good - 1])
        self.time = int(times[good - 1])
        steps = np.flatnonzero(steps[:good])
        self.next += len(steps)
        return Block(self.segment, offsets[steps], lens[steps], sequences[steps], times[steps])

    def _chain(self):
        """Offsets and commit words of the frames that follow one another from here, as far as the window reaches."""
        start = self.offset // 8
        words = self.segment.words[start : start + self.window // 8 : 4].copy()
        spans = ((words & 0xFFFFFFFF) + 31) // 32
        spans[(spans == 0) & (words != 0)] = len(words)
        at, found, spans = 0, [], spans.tolist()
        while at < len(spans) and spans[at]:
            found.append(at)
            at += spans[at]
        if at >= len(spans):
            self.window = min(self.window * 4, _WINDOW_MAX)
        found = np.array(found, dtype=np.int64)
        return self.offset + found * 32, words[found]

    def _control(self, kind, offset, length, next_sequence):
        """Takes what a control frame says; False if it says what cannot be."""
        payload = offset + 32
        if kind in (SEAL, EPOCH) and length != 64:
            return False
        if kind == SEAL:
            seal = Seal(*struct.unpack_from("<QQQH", self.segment.view, payload))
            if seal[:3] != (next_sequence - 1, offset + SEAL_SPAN, next_sequence) or not 1 <= seal.reason <= 4:
                return False
            self.seal, self.offset = seal, offset
        if kind == EPOCH:
            epoch, last = struct.unpack_from("<QQ", self.segment.view, payload)
            return (epoch, last) == (self.segment.header.epoch, next_sequence - 1)
        if kind == SYNC and length == 64:
            self.durable = max(self.durable, struct.unpack_from("<Q", self.segment.view, payload)[0])
        return True

    def _refuse(self):
        """Raises what is wrong with the frame here."""
        segment, room, at = self.segment, self.segment.header.segment_bytes, self.offset // 8
        word = int(segment.words[at])
        length, stored = word & 0xFFFFFFFF, word >> 32 & 0xFFFFFFFF
        end = self.offset + (length + 31) // 32 * 32
        if not 32 <= length <= FRAME_BYTES_MAX or length % 8 or end > room:
            raise self.damaged(f"a frame of {length} bytes cannot be here")
        if end > segment.len:
            raise self.damaged(short_file(segment.file_bytes, room))
        computed = self._crc(self.offset, length)
        if self.check and computed != stored:
            raise self.damaged(f"the frame's checksum is {computed:08x} instead of {stored:08x}")
        sequence, time, head = (int(it) for it in segment.words[at + 1 : at + 4])
        kind, flags = head & 0xFFFF, head >> 16 & 0xFFFF
        if sequence != self.next:
            raise self.damaged(f"the frame has sequence {sequence % (1 << 64)} instead of {self.next}")
        if time < self.time:
            raise self.damaged(f"the frame's time {time} is before {self.time}")
        if kind != SEAL and end + SEAL_SPAN > room:
            raise self.damaged(f"a frame of {length} bytes cannot be here")
        if kind not in KNOWN and time == self.time and not flags & SKIPPABLE:
            raise NewerFormat(f"frame kind {kind}", segment.path, self.offset, self.next)
        raise self.damaged("the control frame contradicts the frames before it")

    def damaged(self, what):
        """The error for the frame here."""
        return Damaged(what, self.segment.path, self.offset, self.next)

    def _crc(self, offset, length):
        start, count = np.array([offset // 8 + 1]), np.array([length // 8 - 1])
        return int(crc32c_all(self.segment.words, start, count, np.array([self.segment.seed ^ offset]))[0])

    def is_durable_behind(self):
        """Whether a whole frame somewhere behind this place says that the step here was on disk: a sync frame, or a
        seal that ended a writer's turn. Then what is wrong here is damage, not a tear.
        """
        words = self.segment.words[: self.segment.len // 32 * 4].reshape(-1, 4)
        first = self.offset // 32 + 1
        kinds = words[first:, 3] & 0xFFFF
        is_control = ((words[first:, 0] & 0xFFFFFFFF) == 64) & ((kinds == SEAL) | (kinds == SYNC))
        found = first + np.flatnonzero(is_control)
        found = found[found * 32 + 64 <= self.segment.len]
        return any(self._says_durable(int(at), words) for at in found)

    def _says_durable(self, at, words):
        if self._crc(at * 32, 64) != int(words[at, 0]) >> 32 & 0xFFFFFFFF:
            return False
        if int(words[at, 3]) & 0xFFFF == SYNC:
            return int(words[at + 1, 0]) >= self.next
        return int(words[at + 1, 3]) & 0xFFFF != ROLLED


def leading(good):
    """How many are true before the first that is not."""
    return len(good) if good.all() else int(np.argmin(good))
