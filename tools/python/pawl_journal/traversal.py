"""The traversal: walks a journal, or a part of it, across its segments, and follows one that is being written.

A segment is left only over its seal, and the next one entered only if its header says that it goes on there.
"""

import bisect
import fcntl
import os
import time
import warnings
from collections import namedtuple

from .errors import Damaged, NoJournal, TornTailWarning
from .segment import Segment
from .walk import ROLLED, Block, Walk

Range = namedtuple("Range", "sequence time until until_time", defaults=(0, None, None, None))
Range.__doc__ = "A part of a journal: from a sequence or a time on, up to a sequence or a time; None is no bound."


class Directory:
    """The directory of a journal."""

    def __init__(self, path):
        self.path = os.fspath(path)

    def segments(self):
        """First sequences of the segments, ascending; there must be one."""
        try:
            names = os.listdir(self.path)
        except (FileNotFoundError, NotADirectoryError):
            names = []
        stems = (name[:20] for name in names if len(name) == 25 and name.endswith(".pawl"))
        found = sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal())
        if not found:
            message = f"there is no journal in {self.path}: give the directory that holds its .pawl files"
            raise NoJournal(message, self.path)
        return found

    def open(self, first_sequence, name=None):
        """The segment that begins with this sequence, or None if there is no such file."""
        path = os.path.join(self.path, name or f"{first_sequence:020}.pawl")
        try:
            return Segment(path, first_sequence)
        except FileNotFoundError:
            return None

    def is_written(self):
        """Whether a writer has the journal now. Looks at its lock and keeps nothing."""
        try:
            with open(os.path.join(self.path, "LOCK"), "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False


class Traversal:
    """A place in a journal. After its blocks ended, `torn` says whether the journal has a torn end, and where."""

    def __init__(self, directory, wanted, check):
        self.directory, self.wanted, self.check = directory, wanted, check
        self.torn = None

    def blocks(self, poll_seconds=None):
        """The steps of the part, many at a time. With `poll_seconds` waits for more until the writer is gone."""
        walk, quiet, looked_twice = self._start(), _Quiet(self.directory, poll_seconds), False
        while True:
            try:
                block = walk.scan()
            except Damaged as damage:
                if not self._is_torn(walk):
                    raise
                self.torn = damage
                place = f"{damage.file} ends in a torn frame at offset {damage.offset} (sequence {damage.sequence})"
                warnings.warn(f"{place}: {damage.what}", TornTailWarning, stacklevel=2)
                return
            if block is not None:
                looked_twice = False
                block, is_last = self._cut(block)
                if len(block.offsets):
                    quiet = _Quiet(self.directory, poll_seconds)
                    yield block
                if is_last:
                    return
                continue
            if walk.seal is not None:
                successor = self._successor(walk)
                if successor is not None:
                    walk = successor
                    continue
            if self.directory.segments()[-1] > walk.next:
                # A writer may have gone on between the two looks; what it had committed then is there now.
                if looked_twice:
                    raise walk.damaged(_lost_end(walk))
                looked_twice = True
                continue
            if not quiet.wait():
                return

    def _start(self):
        """The walk that the part begins in: of the last segment that does not begin behind it."""
        segments = self.directory.segments()
        low, high = 0, len(segments)
        if self.wanted.time is None:
            low = max(bisect.bisect_right(segments, self.wanted.sequence) - 1, 0)
        else:
            while high - low > 1:
                middle = (low + high) // 2
                segment = self.directory.open(segments[middle])
                if segment is not None and segment.header.base_time < self.wanted.time:
                    low = middle
                else:
                    high = middle
        segment = self.directory.open(segments[low])
        if segment is None:
            raise NoJournal(f"there is no journal in {self.directory.path} any more", self.directory.path)
        return Walk(segment, self.check)

    def _cut(self, block):
        """What of a block is in the part, and whether the part ends in it."""
        sequence, time, until, until_time = self.wanted
        if not len(block.offsets):
            return block, False
        keep, is_last = block.sequences >= sequence, False
        if time is not None:
            keep &= block.times >= time
        if until is not None:
            keep &= block.sequences <= until
            is_last |= int(block.sequences[-1]) >= until
        if until_time is not None:
            keep &= block.times <= until_time
            is_last |= int(block.times[-1]) > until_time
        if keep.all():
            return block, is_last
        return Block(block.segment, *(column[keep] for column in block[1:])), is_last

    def _successor(self, walk):
        """The walk of the segment that goes on behind a seal; None if it is not there yet."""
        old, first_sequence = walk.segment.header, walk.seal.next_first_sequence
        segment = self.directory.open(first_sequence)
        if segment is None and walk.seal.reason == ROLLED:
            # The writer goes on in a spare before it gives it its name.
            spare = f"spare-{old.index + 1:020}.pawl"
            segment = self.directory.open(first_sequence, spare) or self.directory.open(first_sequence)
            if segment is None:
                raise walk.damaged(f"the segment that begins with sequence {first_sequence} is missing")
        if segment is None or (segment.header.salt, segment.header.epoch) == (old.salt, old.epoch):
            return None
        _check_successor(walk, segment)
        successor = Walk(segment, self.check)
        successor.durable = max(successor.durable, walk.durable)
        return successor

    def _is_torn(self, walk):
        """Whether what is wrong is what recovery takes for a torn end: in the last segment, which has no seal, of
        full length, behind the last step that the writer said to be durable, and the writer gone.
        """
        header = walk.segment.header
        return (
            walk.segment.len == header.segment_bytes
            and self.directory.segments()[-1] <= header.first_sequence
            and walk.next > walk.durable
            and not walk.is_durable_behind()
            and not self.directory.is_written()
        )


def _lost_end(walk):
    """What is wrong where a journal seems to end, although a later segment is there."""
    if walk.seal is not None:
        return f"the segment that begins with sequence {walk.seal.next_first_sequence} is missing"
    return "the segment does not end in a seal although another one follows"


def _check_successor(walk, segment):
    """Raises if a segment does not go on where the walk of another one ended."""
    old, new = walk.segment.header, segment.header
    # A segment that was sealed without a step is replaced by the next turn's, which has its name and its place.
    is_replaced = new.first_sequence == old.first_sequence == walk.next
    place = (new.index, new.predecessor_first_sequence)
    if is_replaced:
        follows = place == (old.index, old.predecessor_first_sequence)
    else:
        follows = place == (old.index + 1, old.first_sequence)
    for holds, what in (
        (new.journal_id == old.journal_id, "another journal's id"),
        (follows, "not its index"),
        (new.epoch >= old.epoch, "an earlier epoch"),
        (is_replaced or new.predecessor_used_bytes == walk.seal.used_bytes, "not its length"),
        (new.base_time == walk.time, "not its last time"),
    ):
        if not holds:
            what = f"the segment header does not follow the segment before it: {what}"
            raise Damaged(what, segment.path, 0, walk.next)


class _Quiet:
    """A journal that says nothing: is it only quiet, or is its writer gone?"""

    LOOK_SECONDS = 0.5

    def __init__(self, directory, poll_seconds):
        self.directory, self.poll_seconds = directory, poll_seconds
        self.waited, self.is_gone = 0.0, poll_seconds is None

    def wait(self):
        """Waits a moment. False when the writer is gone and a last look after that found nothing."""
        if self.is_gone:
            return False
        if self.waited >= self.LOOK_SECONDS:
            self.waited, self.is_gone = 0.0, not self.directory.is_written()
            return True
        time.sleep(self.poll_seconds)
        self.waited += self.poll_seconds
        return True
