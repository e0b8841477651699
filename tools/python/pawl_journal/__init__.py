"""Reads the journals of Pawl into numpy: steps one by one, or whole kinds of records as structured arrays.

    Journal --seek, from_time, until, until_time--> Journal (a part of it)
       |
       +-- iterate: Step > Record
       +-- ticks(), features(), predictions(), orders(), table(kind): arrays

The segments are mapped into memory and never written. The format is `journal/FORMAT.md`; every frame that is given
was checked as it says there. Prices stay whole points, volumes whole lots, money whole millionths, times whole
nanoseconds, as they were written; `prices` and `volumes` convert with the instrument's own digits and step.
"""

from .errors import Damaged, JournalError, NewerFormat, NoJournal, TornTailWarning
from .journal import Journal, Orders
from .layouts import CODES, FLAGS, kinds, labels
from .record import Record, Step

__all__ = [
    "CODES",
    "FLAGS",
    "Damaged",
    "Journal",
    "JournalError",
    "NewerFormat",
    "NoJournal",
    "Orders",
    "Record",
    "Step",
    "TornTailWarning",
    "kinds",
    "labels",
]
