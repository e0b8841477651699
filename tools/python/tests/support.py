"""What the tests share: journals made by the `pawl` command, golden ones, and how `pawl tail` shows a value."""

import contextlib
import decimal
import gzip
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "journal" / "tests" / "golden"
sys.path[:0] = [str(ROOT / "tools" / "python"), str(GOLDEN)]

import make  # noqa: E402
import numpy as np  # noqa: E402

from pawl_journal import CODES, FLAGS, Journal, TornTailWarning, kinds  # noqa: E402
from pawl_journal.layouts import BY_NAME  # noqa: E402

WIDE = ["mid", "sma_3", "sma_5", *(f"sma_{period}" for period in range(100, 220))]
"""Columns that fill a segment of 1 MiB within two thousand ticks."""


def binary():
    """The command that the tests compare with."""
    path = os.environ.get("PAWL_BIN")
    if not path:
        raise RuntimeError("PAWL_BIN is not set: run `cargo xtask test`, or set it to the path of the `pawl` command")
    return path


def pawl(*arguments):
    """What the command prints."""
    done = subprocess.run([binary(), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise AssertionError(f"{done.args} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def tail(journal, *arguments):
    """The steps of a journal as `pawl tail` gives them."""
    return [json.loads(line) for line in pawl("tail", journal, "--format", "json", *arguments).splitlines()]


@contextlib.contextmanager
def scratch():
    """A directory that is removed."""
    with tempfile.TemporaryDirectory() as home:
        yield pathlib.Path(home)


@contextlib.contextmanager
def golden(name):
    """A golden journal, unpacked."""
    with scratch() as home:
        for packed in (GOLDEN / name).iterdir():
            (home / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
        yield home


@contextlib.contextmanager
def no_tear():
    """Fails where a torn end is found."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", TornTailWarning)
        yield


def contents(steps):
    """What steps hold, to be compared."""
    return [(step.sequence, step.time, [(it.kind, it.version, it.bytes()) for it in step]) for step in steps]


def time_text(nanoseconds):
    """A time as `pawl tail` shows it."""
    return f"{np.datetime64(nanoseconds, 'ns')}Z"


def shown(journal, layout, fields):
    """The fixed fields of a record as `pawl tail` shows them, by the names it gives them."""
    place = next((int(fields[name]) for name, kind in layout.types.items() if kind == "InstrumentId"), None)
    known = place is not None and place < len(journal.instruments)
    instrument = journal.instruments[place] if known else None
    renamed = {"instrument": "symbol", "kind": "execution"}
    return {
        renamed.get(name, name): _shown(journal, instrument, name, kind, fields[name])
        for name, kind in layout.types.items()
    }


def _shown(journal, instrument, name, kind, value):
    if kind == "Time":
        return time_text(int(value))
    if kind == "u64" and name.endswith("_hash"):
        return f"{int(value):016x}"
    if kind == "Points" and instrument:
        return float(decimal.Decimal(int(value)).scaleb(-instrument["digits"]))
    if kind == "Lots" and instrument:
        return float(int(value) * decimal.Decimal(str(instrument["volume_step"])))
    if kind == "Micros":
        return float(decimal.Decimal(int(value)).scaleb(-6))
    if kind == "InstrumentId":
        return instrument and instrument["symbol"]
    if kind == "AgentId":
        return journal.agents[int(value)]
    if kind in CODES:
        return CODES[kind].get(int(value), int(value))
    if kind in FLAGS:
        return [text for bit, text in FLAGS[kind].items() if int(value) >> bit & 1]
    if kind == "f32":
        return np.float32(value)
    return [np.float32(it) for it in value] if kind == "f32x4" else int(value)


def is_same(ours, theirs):
    """Whether a value of ours is the one that JSON or a cell of CSV shows."""
    if isinstance(ours, np.float32):
        return theirs in (None, "") if math.isnan(ours) or math.isinf(ours) else np.float32(theirs) == ours
    if isinstance(ours, list):
        theirs = theirs.split("|") if isinstance(theirs, str) and theirs else theirs or []
        return len(ours) == len(theirs) and all(map(is_same, ours, theirs))
    if isinstance(ours, (int, float)) and isinstance(theirs, str):
        return float(theirs) == ours if isinstance(ours, float) else int(theirs) == ours
    return ours == theirs or (ours is None and theirs == "")


__all__ = [
    "BY_NAME",
    "GOLDEN",
    "ROOT",
    "Journal",
    "WIDE",
    "binary",
    "contents",
    "golden",
    "is_same",
    "kinds",
    "make",
    "no_tear",
    "np",
    "pawl",
    "scratch",
    "shown",
    "tail",
    "time_text",
]
