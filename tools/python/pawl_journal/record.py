"""Steps and their records: views of the bytes of a segment, read when they are asked for."""

import struct

import numpy as np

from .errors import Damaged
from .layouts import BY_CODE, label_of, layout_of


class Record:
    """One record of a step. Its fields are attributes: `record.bid`; `record["from"]` where Python has the word.

    Numbers are as they were written (points, lots, millionths, nanoseconds, codes); `label` gives the name of a code.
    `kind` is the record's own kind; that of an execution report, which has a field of this name, is `record["kind"]`.
    """

    __slots__ = ("kind", "version", "_layout", "_body")

    def __init__(self, code, version, body):
        layout = BY_CODE.get(code)
        self.kind = layout.name if layout else f"unknown_{code}"
        self.version, self._body = version, body
        self._layout = layout if layout and layout.version == version and len(body) >= layout.size else None

    def __getitem__(self, field):
        if self._layout is not None:
            if field in self._layout.readers:
                reader, at = self._layout.readers[field]
                values = reader.unpack_from(self._body, at)
                return values[0] if len(values) == 1 else values
            tail = self._tail()
            if field in tail:
                return tail[field]
        raise KeyError(f"a {self.kind} of version {self.version} has no field {field!r} that this reader knows")

    def __getattr__(self, field):
        if field.startswith("__"):
            raise AttributeError(field)
        try:
            return self[field]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def _tail(self):
        """What follows the fixed fields: the values of a feature vector, texts."""
        tail = self._body[self._layout.size :]
        if self.kind == "features":
            return {"values": np.frombuffer(tail, dtype="<f4", count=len(tail) // 4)}
        if self.kind == "run_started":
            first, second = self["settings_len"], self["environment_len"]
            text = bytes(tail)
            return {"settings": text[:first].decode(), "environment": text[first : first + second].decode()}
        return {"message": bytes(tail).decode()} if self.kind == "run_ended" else {}

    def fields(self):
        """All fields by name, in layout order; nothing for a kind or version that this reader does not know."""
        if self._layout is None:
            return {}
        return {**{name: self[name] for name in self._layout.readers}, **self._tail()}

    def label(self, field):
        """The name of a code, the list of names of a set of flags; another field as it is."""
        value = self[field]
        return label_of(self._layout.types.get(field), value)

    def bytes(self):
        """The body as it was written."""
        return bytes(self._body)

    def __repr__(self):
        return f"Record({self.kind}, {self.fields()})"


class Step:
    """One input and everything decided because of it. `time` is nanoseconds since the UNIX epoch."""

    __slots__ = ("sequence", "time", "_segment", "_offset", "_len")

    def __init__(self, sequence, time, segment, offset, length):
        self.sequence, self.time = sequence, time
        self._segment, self._offset, self._len = segment, offset, length

    @property
    def records(self):
        """The records in order, the input first."""
        return list(self)

    def __iter__(self):
        view, at, end = self._segment.view, self._offset + 32, self._offset + self._len
        while at < end:
            code, version, _, length = struct.unpack_from("<HBBI", view, at)
            body, at = at + 8, at + 8 + (length + 7) // 8 * 8
            if at > end:
                raise not_filled(self._segment, self._offset, self.sequence)
            yield Record(code, version, view[body : body + length])

    @property
    def input(self):
        """The first record: what came in."""
        return next(iter(self))

    def get(self, kind):
        """The first record of this kind, or None."""
        layout_of(kind)
        return next((record for record in self if record.kind == kind), None)

    def __repr__(self):
        return f"Step({self.sequence} at {self.time}: {', '.join(record.kind for record in self)})"


def not_filled(segment, offset, sequence):
    """The error for a step whose records do not fill it."""
    return Damaged("the records of the step do not fill its frame", segment.path, int(offset), int(sequence))


def heads_of(block):
    """The record headers of a block's steps: first all first records, then all second ones, and so on."""
    words, rows = block.segment.words, np.arange(len(block.offsets))
    at, end = block.offsets // 8 + 4, (block.offsets + block.lens) // 8
    keep = at < end
    at, end, rows = at[keep], end[keep], rows[keep]
    while len(at):
        heads = words[at]
        behind = at + 1 + ((heads >> 32 & 0xFFFFFFFF) + 7) // 8
        if (behind > end).any():
            place = rows[np.argmax(behind > end)]
            raise not_filled(block.segment, block.offsets[place], block.sequences[place])
        yield heads, at, rows
        keep = behind < end
        at, end, rows = behind[keep], end[keep], rows[keep]
