"""The start of a run: the step whose settings say what the numbers of a journal mean, also when it was pruned away.

| magic | version | 0 | journal id | length | 0 | crc | the step's frame |        `pruned.run_started`, see FORMAT.md
"""

import os
import struct
from collections import namedtuple

from .checksum import crc32c
from .errors import Damaged
from .record import Step
from .traversal import Range, Traversal
from .walk import STEP

FILE = "pruned.run_started"
_HEAD = struct.Struct("<8sH6s16sI24sI")
_BYTES_MAX = _HEAD.size + 65536

_Frame = namedtuple("_Frame", "path view")


def run_start(directory, check):
    """A step that began a run, and what is wrong with the copy of one: the first step there is, if it is one; else the
    last one that was pruned away; else that of the first later run. All runs of a journal have the same settings.
    """
    segments, wrong = directory.segments(), None
    step = _first(directory, segments[0], check)
    if step is not None:
        return step, None
    first = directory.open(segments[0])
    if first is not None and first.header.index > 1:
        step, wrong = _copy(directory.path, first.header.journal_id)
        if step is not None:
            return step, None
    epoch = None
    for sequence in segments:
        try:
            segment = directory.open(sequence)
        except Damaged:
            continue
        if segment is not None and segment.header.epoch != epoch:
            epoch = segment.header.epoch
            step = _first(directory, sequence, check)
            if step is not None:
                return step, None
    return None, wrong


def _first(directory, sequence, check):
    """The step that a segment begins with, if it began a run."""
    try:
        for block in Traversal(directory, Range(sequence, until=sequence), check).blocks():
            step = Step(*(int(it[0]) for it in (block.sequences, block.times)), block.segment, *_place(block))
            return step if step.get("run_started") is not None else None
    except Damaged:
        # Whoever reads the steps is told.
        return None
    return None


def _place(block):
    return int(block.offsets[0]), int(block.lens[0])


def _copy(path, journal_id):
    """The step in the file beside the segments, or what is wrong with it."""
    path = os.path.join(path, FILE)
    try:
        with open(path, "rb") as file:
            data = file.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        return None, None
    if len(data) < _HEAD.size + 32:
        return None, f"{path} is damaged"
    magic, version, _, owner, length, _, crc = _HEAD.unpack_from(data)
    frame = data[_HEAD.size :]
    if magic != b"PAWLRUNS" or length != len(frame) or crc != crc32c(frame, crc32c(data[:60])):
        return None, f"{path} is damaged"
    if version != 1:
        return None, f"{path} is of a later version of pawl"
    if owner != journal_id:
        return None, f"{path} belongs to another journal"
    sequence, time, kind = struct.unpack_from("<QqH", frame, 8)
    step = Step(sequence, time, _Frame(path, memoryview(frame)), 0, length)
    if kind != STEP or step.get("run_started") is None:
        return None, f"{path} is damaged"
    return step, None
