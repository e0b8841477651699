"""Every value of every record is what `pawl tail` shows, step by step and as arrays."""

import csv
import io
import json
import tempfile
import unittest
from pathlib import Path

from support import BY_NAME, WIDE, Journal, binary, is_same, kinds, make, no_tear, np, pawl, shown, tail, time_text

from pawl_journal import labels


class Demo(unittest.TestCase):
    """The demo: two symbols, two models, orders."""

    @classmethod
    def setUpClass(cls):
        home = tempfile.TemporaryDirectory()
        cls.addClassCleanup(home.cleanup)
        cls.path = Path(home.name) / "journal"
        pawl("demo", "--hours", "1", "--journal", cls.path, "--json")
        cls.journal = Journal(cls.path)

    def test_every_record_of_every_step(self):
        seen = set()
        steps, lines = list(self.journal), tail(self.path)
        self.assertEqual(len(steps), len(lines))
        for step, told in zip(steps, lines):
            self.assertEqual((step.sequence, time_text(step.time)), (told["sequence"], told["time"]))
            self.assertEqual([record.kind for record in step], [record["kind"] for record in told["records"]])
            for record, values in zip(step, told["records"]):
                seen.add(record.kind)
                self.check_record(step.sequence, record, values)
        self.assertLessEqual({"tick", "features", "prediction", "order_request", "execution_report", "alert"}, seen)

    def check_record(self, sequence, record, values):
        ours = shown(self.journal, BY_NAME[record.kind], record)
        for name, value in ours.items():
            self.assertTrue(is_same(value, values[name]), f"{sequence} {record.kind} {name}: {value} {values[name]}")
        names = {"kind", *ours}
        if record.kind == "features":
            columns = dict(zip(self.journal.columns, record.values))
            self.assertEqual(list(columns), list(values["values"]))
            for name, value in columns.items():
                self.assertTrue(is_same(np.float32(value), values["values"][name]), f"{sequence} {name}")
            names.add("values")
        if record.kind == "run_started":
            self.assertEqual(json.loads(record.settings), values["settings"])
            self.assertEqual(json.loads(record.environment), values["environment"])
            names |= {"settings", "environment"}
        if record.kind == "run_ended":
            self.assertEqual(record.message, values["message"])
            names.add("message")
        self.assertEqual(names, set(values), record.kind)

    def test_every_row_of_every_array(self):
        for kind in kinds():
            table = list(csv.DictReader(io.StringIO(pawl("tail", self.path, "--kind", kind, "--format", "csv"))))
            rows = self.journal.table(kind)
            self.assertEqual(len(rows), len(table), kind)
            for row, cells in zip(rows, table):
                self.assertEqual(
                    (int(cells["sequence"]), cells["time"]), (row["sequence"], time_text(int(row["time"])))
                )
                ours = self.feature_row(row) if kind == "features" else shown(self.journal, BY_NAME[kind], row)
                for name, value in ours.items():
                    self.assertTrue(is_same(value, cells[name]), f"{kind} {name}: {value} {cells[name]}")

    def feature_row(self, row):
        symbol = self.journal.instruments[row["instrument"]]["symbol"]
        return {"symbol": symbol, "ready": int(row["ready"]), **{it: row[it] for it in self.journal.columns}}

    def test_arrays_by_name_are_the_tables(self):
        journal = self.journal
        orders = journal.orders()
        for rows, kind in (
            (journal.ticks(), "tick"),
            (journal.features(), "features"),
            (journal.predictions(), "prediction"),
            (orders.requests, "order_request"),
            (orders.reports, "execution_report"),
        ):
            self.assertGreater(len(rows), 0, kind)
            np.testing.assert_array_equal(rows, journal.table(kind))

    def test_prices_and_volumes_are_the_decimals_that_people_see(self):
        told = [record for step in tail(self.path, "--kind", "execution_report") for record in step["records"]]
        reports = self.journal.orders().reports
        self.assertEqual(self.journal.prices(reports, "price").tolist(), [it["price"] for it in told])
        self.assertEqual(self.journal.volumes(reports, "lots").tolist(), [it["lots"] for it in told])
        self.assertEqual(labels("execution_report", "side", reports["side"]).tolist(), [it["side"] for it in told])
        ticks = self.journal.ticks()
        bitcoin = ticks[ticks["instrument"] == self.journal.instrument("BTCUSD")]
        self.assertGreater(self.journal.prices(bitcoin, "bid").min(), 10_000.0)
        told = ["|".join(record["flags"]) for step in tail(self.path, "--kind", "tick") for record in step["records"]]
        self.assertEqual(labels("tick", "flags", ticks["flags"]).tolist(), told)

    def test_counts_are_those_of_verify(self):
        verified = json.loads(pawl("verify", self.path, "--json"))
        self.assertEqual(self.journal.counts(), {"steps": verified["steps"], **verified["records"]})
        self.assertEqual(self.journal.last_sequence, verified["last"])

    def test_without_checksums_the_same_is_read(self):
        with no_tear():
            np.testing.assert_array_equal(Journal(self.path, check=False).ticks(), self.journal.ticks())


class Parts(unittest.TestCase):
    """A journal of several segments and two turns, read from and to anywhere."""

    @classmethod
    def setUpClass(cls):
        home = tempfile.TemporaryDirectory()
        cls.addClassCleanup(home.cleanup)
        cls.path = Path(home.name) / "journal"
        make.write(binary(), cls.path, [2400, 2500], "10s", WIDE, stamps=True)
        cls.journal = Journal(cls.path)
        cls.steps = [(step.sequence, step.time) for step in cls.journal]

    def test_the_journal_has_rolled(self):
        self.assertGreaterEqual(len(list(self.path.glob("[0-9]*.pawl"))), 3)
        self.assertEqual([sequence for sequence, _ in self.steps], list(range(1, len(self.steps) + 1)))

    def test_from_and_until_every_place_near_the_edges_of_segments(self):
        edges = [int(path.stem) for path in self.path.glob("[0-9]*.pawl")]
        for edge in [*edges, len(self.steps), len(self.steps) + 1]:
            for sequence in range(max(edge - 2, 0), edge + 3):
                part = [step.sequence for step in self.journal.seek(sequence).until(sequence + 3)]
                self.assertEqual(part, [it for it, _ in self.steps if sequence <= it <= sequence + 3])

    def test_from_and_until_times(self):
        for place in range(0, len(self.steps), 97):
            at = self.steps[place][1]
            for time in (at - 1, at, at + 1):
                first = next(iter(self.journal.from_time(time)), None)
                expected = next((sequence for sequence, it in self.steps if it >= time), None)
                self.assertEqual(first and first.sequence, expected)
                later = time + 300_000_000
                part = [step.sequence for step in self.journal.from_time(time).until_time(later)]
                self.assertEqual(part, [sequence for sequence, it in self.steps if time <= it <= later])
        moment = np.datetime64(self.steps[1000][1], "ns")
        self.assertLessEqual(next(iter(self.journal.from_time(moment))).sequence, self.steps[1000][0])

    def test_arrays_of_a_part_are_parts_of_the_arrays(self):
        whole = self.journal.features()
        for first, last in ((1, 1), (100, 900), (1000, 10_000), (10_000, 20_000)):
            part = self.journal.seek(first).until(last).features()
            rows = whole[(whole["sequence"] >= first) & (whole["sequence"] <= last)]
            np.testing.assert_array_equal(part, rows)
            self.assertEqual(part.dtype.names, ("sequence", "time", "instrument", "ready", *WIDE))

    def test_the_ends_of_a_part_are_those_of_the_journal(self):
        part = self.journal.seek(5).until(7)
        self.assertEqual((part.first_sequence, part.last_sequence), (1, len(self.steps)))


if __name__ == "__main__":
    unittest.main()
