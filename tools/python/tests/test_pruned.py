"""A pruned journal: what is left has the same values, prices and names as before, or it is said that they are lost."""

import json
import shutil
import tempfile
import unittest
from pathlib import Path

from support import WIDE, Journal, binary, make, np, pawl, scratch, tail

from pawl_journal import JournalError

COPY = "pruned.run_started"
KINDS = ("tick", "features", "prediction", "order_request", "execution_report", "verdict")


class Pruned(unittest.TestCase):
    """Two runs in small segments, pruned further and further."""

    @classmethod
    def setUpClass(cls):
        home = tempfile.TemporaryDirectory()
        cls.addClassCleanup(home.cleanup)
        cls.path = Path(home.name) / "journal"
        make.write(binary(), cls.path, [4600, 9200], "10s", WIDE, stamps=True)
        cls.whole = Journal(cls.path)
        cls.segments = len(list(cls.path.glob("[0-9]*.pawl")))

    def prune(self, home, kept):
        """A copy of the journal that is pruned to this many segments, and its first step."""
        left = home / f"left-{kept}"
        shutil.copytree(self.path, left)
        limit = f"{kept * (1 << 20) + (1 << 19)}B"
        told = pawl("prune", left, "--larger-than", limit, "--without-snapshot", "--apply", "--json")
        return left, json.loads(told)["first_after"]

    def test_arrays_prices_and_names_are_those_of_the_whole_journal(self):
        runs = [step.sequence for step in self.whole if step.get("run_started") is not None]
        self.assertEqual(len(runs), 2)
        self.assertGreaterEqual(self.segments, 5)
        starts = []
        for kept in range(self.segments - 1, 1, -1):
            with self.subTest(kept=kept), scratch() as home:
                path, first = self.prune(home, kept)
                starts.append(first)
                left = Journal(path)
                self.assertEqual(left.first_sequence, first)
                self.assertEqual(left.settings, self.whole.settings)
                self.assertEqual((left.columns, left.agents), (WIDE, self.whole.agents))
                self.assertIn("command", left.environment)
                for kind in KINDS:
                    rows = self.whole.seek(first).table(kind)
                    np.testing.assert_array_equal(left.table(kind), rows)
                    self.assertEqual(left.table(kind).dtype, rows.dtype)
                self.check_prices(path, left)
        self.assertIn(runs[1], starts, "one begins with the second run")
        self.assertGreater(starts[-1], runs[1])

    def check_prices(self, path, left):
        told = [record for step in tail(path, "--kind", "tick") for record in step["records"]]
        ticks = left.ticks()
        self.assertEqual(left.prices(ticks, "bid").tolist(), [it["bid"] for it in told])
        self.assertEqual(left.volumes(ticks, "volume").tolist(), [it["volume"] for it in told])
        self.assertEqual(len(ticks), int(np.sum(ticks["instrument"] == left.instrument("EURUSD"))))

    def test_a_copy_that_is_lost_or_damaged_is_said_and_never_used(self):
        with scratch() as home:
            path, first = self.prune(home, 2)
            content = (path / COPY).read_bytes()
            other = bytearray(content)
            other[16] ^= 1
            other[60:64] = make.crc32c(bytes(other[:60]) + bytes(other[64:])).to_bytes(4, "little")
            for changed, words in (
                (None, "no run_started left"),
                (b"", "is damaged"),
                (content[:-8], "is damaged"),
                (content[:500] + bytes([content[500] ^ 1]) + content[501:], "is damaged"),
                (bytes(other), "belongs to another journal"),
            ):
                if changed is None:
                    (path / COPY).unlink()
                else:
                    (path / COPY).write_bytes(changed)
                left = Journal(path)
                self.assertIsNone(left.settings)
                ticks = left.ticks()
                np.testing.assert_array_equal(ticks, self.whole.seek(first).ticks())
                for asked in (
                    lambda it=left, rows=ticks: it.prices(rows, "bid"),
                    lambda it=left, rows=ticks: it.volumes(rows, "volume"),
                    lambda it=left: it.instrument("EURUSD"),
                ):
                    with self.assertRaisesRegex(JournalError, words):
                        asked()
                self.assertEqual(left.features().dtype.names[4:6], ("column_0", "column_1"))
            (path / COPY).write_bytes(content)
            self.assertEqual(Journal(path).settings, self.whole.settings)


if __name__ == "__main__":
    unittest.main()
