"""Tables: all records of a kind, from blocks of steps into one structured array, without a loop over records."""

from collections import namedtuple

import numpy as np

from .errors import NewerFormat
from .layouts import BY_CODE, BY_NAME, layout_of
from .record import heads_of, not_filled

Found = namedtuple("Found", "code words at lens sequences times")
Found.__doc__ = "Where the records of one kind are in a block: the words of their bodies, and the steps they are of."

FEATURES_HEAD = [("sequence", "<u8"), ("time", "<i8"), ("instrument", "<u2"), ("ready", "<u2")]


def tables(blocks, kinds):
    """One array for each of these kinds: sequence, time and the fields of the layout."""
    layouts = {layout_of(kind).code: layout_of(kind) for kind in kinds}
    parts = {code: [] for code in layouts}
    for found in _found(blocks, layouts):
        layout = layouts[found.code]
        body = found.words[found.at[:, None] + np.arange(layout.size // 8)].view(layout.body)[:, 0]
        rows = np.empty(len(body), dtype=layout.row)
        rows["sequence"], rows["time"] = found.sequences, found.times
        for name in layout.body.names:
            rows[name] = body[name]
        parts[found.code].append(rows)
    whole = {}
    for code, layout in layouts.items():
        whole[layout.name] = np.concatenate(parts[code]) if parts[code] else np.empty(0, dtype=layout.row)
    return whole


def feature_table(blocks, names_of):
    """The feature vectors, a column for each value. `names_of` gives the names for this many values."""
    layout, parts, width, names = BY_NAME["features"], [], None, None
    for found in _found(blocks, [layout.code]):
        if width is None:
            width = int(found.lens[0])
            names = names_of((width - layout.size) // 4)
        if (found.lens != width).any():
            sequence = int(found.sequences[np.argmax(found.lens != width)])
            message = f"feature vectors change their width at sequence {sequence}: read them in two parts"
            raise ValueError(f"{message}, with `until` and `seek`")
        raw = found.words[found.at[:, None] + np.arange((width + 7) // 8)]
        body = raw[:, : layout.size // 8].copy().view(layout.body)[:, 0]
        # The columns lie side by side, so all of them are filled as one.
        rows = np.empty(len(body), dtype=FEATURES_HEAD + [("values", "<f4", (len(names),))])
        rows["sequence"], rows["time"] = found.sequences, found.times
        rows["instrument"], rows["ready"] = body["instrument"], body["ready"]
        rows["values"] = raw[:, layout.size // 8 :].copy().view("<f4")[:, : len(names)]
        parts.append(rows.view(FEATURES_HEAD + [(name, "<f4") for name in names]))
    if not parts:
        return np.empty(0, dtype=FEATURES_HEAD + [(name, "<f4") for name in names_of(None)])
    return np.concatenate(parts)


def counts(blocks):
    """How many steps there are, and how many records of each kind."""
    total, steps = np.zeros(1 << 16, dtype=np.int64), 0
    for block in blocks:
        steps += len(block.offsets)
        for heads, _, _ in heads_of(block):
            total += np.bincount(heads & 0xFFFF, minlength=1 << 16)
    found = {"steps": steps}
    for code in map(int, np.flatnonzero(total)):
        found[BY_CODE[code].name if code in BY_CODE else f"unknown_{code}"] = int(total[code])
    return found


def _found(blocks, codes):
    """Where the records of these kinds are, block by block, each of a layout that this reader knows."""
    for block in blocks:
        parts = {code: [] for code in codes}
        for heads, at, rows in heads_of(block):
            for code, part in parts.items():
                hit = (heads & 0xFFFF) == code
                if hit.any():
                    part.append((rows[hit], at[hit] + 1, heads[hit]))
        for code, part in parts.items():
            if part:
                yield _checked(block, BY_CODE[code], *(np.concatenate(column) for column in zip(*part)))


def _checked(block, layout, rows, at, heads):
    """Brings the records of one kind into the order of their steps; refuses a version or a length of another reader."""
    order = np.argsort(rows, kind="stable")
    rows, at, heads = rows[order], at[order], heads[order]
    versions, lens = heads >> 16 & 0xFF, heads >> 32 & 0xFFFFFFFF
    if (versions != layout.version).any():
        place = np.argmax(versions != layout.version)
        step, feature = rows[place], f"version {versions[place]} of {layout.name}"
        raise NewerFormat(feature, block.segment.path, int(block.offsets[step]), int(block.sequences[step]))
    if (lens < layout.size).any():
        step = rows[np.argmax(lens < layout.size)]
        raise not_filled(block.segment, block.offsets[step], block.sequences[step])
    return Found(layout.code, block.segment.words, at, lens, block.sequences[rows], block.times[rows])
