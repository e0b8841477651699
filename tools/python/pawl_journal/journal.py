"""The journal as its users see it: a directory of steps, whole or in part, iterated or as arrays."""

import json
import os
from collections import namedtuple
from fractions import Fraction

import numpy as np

from .errors import JournalError
from .record import Step
from .run_start import run_start
from .table import FEATURES_HEAD, counts, feature_table, tables
from .traversal import Directory, Range, Traversal

Orders = namedtuple("Orders", "requests reports")
Orders.__doc__ = "What the engine asked of the venue, and what the venue answered."


class Journal:
    """A journal, or the part of one that `seek`, `from_time`, `until` and `until_time` leave.

    Iteration gives every `Step` once and in order. With `follow` it waits for more at the end, looks again every
    `poll_seconds`, and ends when the journal's writer is gone. `check=False` leaves out the checksums of the frames;
    lengths, order and headers are always checked. Arrays never wait.

    Where bytes are damaged reading raises `Damaged`. A torn end, which only a machine that stopped can leave (the
    last segment, not sealed, behind what its writer said to be durable), ends the reading with a `TornTailWarning`
    and stands in `torn` as the `Damaged` that it would have been.
    """

    def __init__(self, path, check=True, follow=False, poll_seconds=0.005):
        self.path = os.fspath(path)
        self.check, self.follow, self.poll_seconds = check, follow, poll_seconds
        self.torn = None
        self._range, self._run, self._wrong = Range(), None, None
        self._directory = Directory(self.path)
        self._directory.segments()

    # -- parts

    def _part(self, **bounds):
        part = object.__new__(Journal)
        part.__dict__.update(self.__dict__, torn=None, _range=self._range._replace(**bounds))
        return part

    def seek(self, sequence):
        """The part from this step on."""
        return self._part(sequence=int(sequence), time=None)

    def from_time(self, time):
        """The part from the first step that is not before this time: nanoseconds, or a `datetime64` in UTC."""
        return self._part(sequence=0, time=_nanoseconds(time))

    def until(self, sequence):
        """The part that ends with this step."""
        return self._part(until=int(sequence))

    def until_time(self, time):
        """The part that ends with the last step that is not behind this time."""
        return self._part(until_time=_nanoseconds(time))

    # -- what is in it

    def __iter__(self):
        return _steps(self._blocks(self.poll_seconds if self.follow else None))

    def ticks(self):
        """Every tick, as an array with the columns sequence, time and the record's fields."""
        return self.table("tick")

    def predictions(self):
        """Every prediction of every agent; `journal.agents` has their names."""
        return self.table("prediction")

    def orders(self):
        """Order requests and execution reports: `Orders(requests, reports)`."""
        found = tables(self._blocks(), ["order_request", "execution_report"])
        return Orders(found["order_request"], found["execution_report"])

    def features(self):
        """Every feature vector: sequence, time, instrument, ready, and a column for every name in `journal.columns`.

        If the journal has lost the settings that name them, the columns are column_0, column_1 and so on.
        """
        return feature_table(self._blocks(), self._column_names)

    def table(self, kind):
        """Every record of one kind, as an array: sequence, time, then the fields of the record's layout."""
        return self.features() if kind == "features" else tables(self._blocks(), [kind])[kind]

    def counts(self):
        """How many records of each kind there are, and how many steps: `{"steps": .., "tick": ..}`."""
        return counts(self._blocks())

    @property
    def first_sequence(self):
        """The first step of the whole journal; 0 if there is none."""
        blocks = Traversal(self._directory, Range(), self.check).blocks()
        return next((int(block.sequences[0]) for block in blocks), 0)

    @property
    def last_sequence(self):
        """The last step of the whole journal as it is now; 0 if there is none. Walks the last segment."""
        first = self._directory.segments()[-1]
        last = first - 1
        for block in Traversal(self._directory, Range(first), self.check).blocks():
            last = int(block.sequences[-1])
        return last

    def writer_alive(self):
        """Whether a writer has the journal now."""
        return self._directory.is_written()

    def _blocks(self, poll_seconds=None):
        traversal = Traversal(self._directory, self._range, self.check)
        yield from traversal.blocks(poll_seconds)
        self.torn = traversal.torn

    # -- the settings of its runs, which are the same for all of them

    @property
    def settings(self):
        """What the runs of this journal were told, from its first `run_started`, or the last one that was pruned away.

        None if no run begins in the journal and none is kept beside it.
        """
        return self._settings()[0]

    @property
    def environment(self):
        """Where that run ran: build, machine, command."""
        return self._settings()[1]

    def _settings(self):
        if self._run is None:
            step, self._wrong = run_start(self._directory, self.check)
            if step is not None:
                started = step.get("run_started")
                self._run = json.loads(started.settings), json.loads(started.environment)
        return self._run or (None, None)

    @property
    def instruments(self):
        """The instruments, as the settings have them; a record's `instrument` is the place in this list."""
        return (self.settings or {}).get("engine", {}).get("instruments", [])

    @property
    def agents(self):
        """Names of the agents; a prediction's `agent` is the place in this list."""
        return [agent["name"] for agent in (self.settings or {}).get("engine", {}).get("agents", [])]

    @property
    def columns(self):
        """Names of the feature columns."""
        return (self.settings or {}).get("engine", {}).get("features", {}).get("columns", [])

    def instrument(self, symbol):
        """The number of a symbol: `ticks[ticks["instrument"] == journal.instrument("EURUSD")]`."""
        symbols = [it["symbol"] for it in self._known()]
        if symbol not in symbols:
            raise ValueError(f"{symbol!r} is not traded in this journal; there are {', '.join(symbols)}")
        return symbols.index(symbol)

    def prices(self, rows, field):
        """A column of points as prices, each with the digits of its row's instrument. NaN where there is none."""
        return _scaled(rows, field, [Fraction(1, 10 ** it["digits"]) for it in self._known()])

    def volumes(self, rows, field):
        """A column of lots (counts of the volume step) as volumes: 1.0 is one lot of the contract."""
        return _scaled(rows, field, [Fraction(str(it["volume_step"])) for it in self._known()])

    def _known(self):
        if not self.instruments:
            message = f"{self.path} has no run_started left, which says what its instruments, a point and a lot are"
            raise JournalError(f"{message}: {self._wrong}" if self._wrong else message, self.path)
        return self.instruments

    def _column_names(self, count):
        """The settings' names for this many columns; for None as many as there are."""
        names = list(self.columns)
        if count is not None and len(names) != count:
            names = [f"column_{place}" for place in range(count)]
        taken = [name for name, _ in FEATURES_HEAD]
        return [f"column_{name}" if name in taken else name for name in names]


def _steps(blocks):
    for block in blocks:
        columns = (block.sequences, block.times, block.offsets, block.lens)
        for sequence, time, offset, length in zip(*(column.tolist() for column in columns)):
            yield Step(sequence, time, block.segment, offset, length)


def _nanoseconds(time):
    if isinstance(time, np.datetime64):
        return int(time.astype("datetime64[ns]").astype(np.int64))
    return int(time)


def _scaled(rows, field, units):
    """A column in the unit of each row's instrument: the float nearest to the decimal that it stands for."""
    instruments = rows["instrument"].astype(np.int64)
    is_known = instruments < len(units)
    places = np.where(is_known, instruments, 0)
    parts = np.array([(unit.numerator, unit.denominator) for unit in units], dtype=np.float64)[places]
    return np.where(is_known, rows[field] * parts[:, 0] / parts[:, 1], np.nan)
