"""`python -m pawl_journal`."""

import csv
import io
import subprocess
import sys
import unittest

from support import ROOT, Journal, golden, scratch


def run(*arguments):
    command = [sys.executable, "-m", "pawl_journal", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT / "tools" / "python", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


class Command(unittest.TestCase):
    def test_it_counts_what_is_there(self):
        with golden("1.0/turns") as path:
            lines = dict(line.split() for line in run(path).stdout.splitlines())
            self.assertEqual((lines["steps"], lines["tick"], lines["order_request"]), ("74", "60", "1"))
            self.assertEqual(run(path, "--kind", "orders").stdout.split(), "order_request 1 execution_report 2".split())

    def test_it_prints_csv(self):
        with golden("1.0/turns") as path:
            table = list(csv.DictReader(io.StringIO(run(path, "--kind", "ticks", "--csv").stdout)))
            self.assertEqual([int(row["bid"]) for row in table], Journal(path).ticks()["bid"].tolist())
            table = list(csv.DictReader(io.StringIO(run(path, "--kind", "predictions", "--csv").stdout)))
            told = [[float(it) for it in row["probabilities"].split("|")] for row in table]
            self.assertEqual(told, Journal(path).predictions()["probabilities"].tolist())

    def test_what_it_cannot_answer_ends_with_2(self):
        with scratch() as home, golden("1.0/flipped-byte") as path:
            for arguments, words in (
                ((home,), "there is no journal"),
                ((path,), "is damaged at offset 7936 (sequence 37)"),
                ((path, "--csv"), "name it with --kind"),
                ((path, "--kind", "candles"), "no kind of record"),
            ):
                done = run(*arguments)
                self.assertEqual(done.returncode, 2, arguments)
                self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
