"""`python -m pawl_journal JOURNAL`: what is in a journal, or one kind of record as CSV."""

import argparse
import csv
import os
import sys

import numpy as np

from .errors import JournalError
from .journal import Journal
from .layouts import kinds, layout_of


def main(arguments=None):
    """Runs the command; gives its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pawl_journal",
        description="Says what is in a journal of Pawl, or prints one kind of record as CSV: numbers as they were "
        "written (points, lots, millionths, nanoseconds).",
        epilog="`pawl tail JOURNAL --kind KIND --format csv` prints prices, volumes and times for people.",
    )
    parser.add_argument("journal", help="directory of the journal")
    parser.add_argument(
        "--kind",
        default=None,
        metavar="KIND",
        help="ticks, features, predictions, orders, or a kind of record: " + ", ".join(kinds()),
    )
    parser.add_argument("--csv", action="store_true", help="print the records of --kind instead of their number")
    chosen = parser.parse_args(arguments)
    names = {
        "ticks": ["tick"],
        "predictions": ["prediction"],
        "orders": ["order_request", "execution_report"],
    }
    wanted = names.get(chosen.kind, [chosen.kind])
    if chosen.csv and (chosen.kind is None or len(wanted) > 1):
        parser.error("CSV has one kind of record: name it with --kind, for example --kind order_request")
    try:
        layouts = [layout_of(kind) for kind in wanted if kind is not None]
        journal = Journal(chosen.journal)
        if chosen.csv:
            rows = journal.table(wanted[0])
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(rows.dtype.names)
            for row in rows.tolist():
                writer.writerow("|".join(map(str, it)) if isinstance(it, np.ndarray) else it for it in row)
            return 0
        counts = journal.counts()
        shown = counts if chosen.kind is None else {layout.name: counts.get(layout.name, 0) for layout in layouts}
        for name, count in shown.items():
            print(f"{name:<18}{count:>12}")
        return 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (JournalError, ValueError, OSError) as error:
        print(f"pawl_journal: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
