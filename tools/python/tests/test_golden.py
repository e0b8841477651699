"""Golden journals are read as `journal/tests/golden.rs` says that the engine reads them.

A torn end is the one difference: the engine's reader says damage there, this one warns and ends.
"""

import unittest
import warnings

from support import GOLDEN, Journal, golden, make, pawl

from pawl_journal import Damaged, NewerFormat, TornTailWarning

WHOLE, TORN = "whole", "torn"

CASES = {
    "1.0/whole": (2204, WHOLE),
    "1.0/turns": (74, WHOLE),
    "1.0/later-minor": (48, WHOLE),
    "1.0/unknown-skippable": (48, WHOLE),
    "1.0/unsealed": (48, WHOLE),
    "1.0/missing-start": (50, WHOLE),
    "1.0/torn-append": (47, WHOLE),
    "1.0/torn-page": (47, (TORN, 25, 10_048, 48, "checksum is e878188e instead of a14465a9")),
    "1.0/truncated": (36, (Damaged, 25, 7936, 37, "7976 bytes instead of 1048576")),
    "1.0/flipped-byte": (36, (Damaged, 25, 7936, 37, "checksum is a57dbabb instead of b08f1dc5")),
    "1.0/flipped-header": (24, (Damaged, 25, 0, 25, "does not have its checksum")),
    "1.0/missing-middle": (24, (Damaged, 1, 10_176, 25, "begins with sequence 25 is missing")),
    "1.0/newer-major": (24, (NewerFormat, 25, 0, 25, "journal format 2.3")),
    "1.0/incompatible-feature": (24, (NewerFormat, 25, 0, 25, 'feature "folded frames" (bit 41)')),
    "1.0/unknown-frame": (36, (NewerFormat, 25, 7936, 37, "frame kind 77")),
    "1.1/whole": (2204, WHOLE),
    "1.1/turns": (74, WHOLE),
    "1.1/unsealed": (48, WHOLE),
    "1.1/wrong-index": (48, WHOLE),
    "1.1/torn-append": (47, WHOLE),
    "1.1/torn-page": (47, (TORN, 25, 16_960, 48, "checksum is 33458db5 instead of 7a79f092")),
    "1.1/flipped-durable": (44, (Damaged, 25, 16_384, 45, "checksum is 94ce3e11 instead of 813c996f")),
    "1.1/flipped-header": (24, (Damaged, 25, 0, 25, "does not have its checksum")),
    "1.1/missing-middle": (24, (Damaged, 1, 14_016, 25, "begins with sequence 25 is missing")),
    "1.1/newer-major": (24, (NewerFormat, 25, 0, 25, "journal format 2.3")),
}
"""Steps that are read; then the end, or what is said: error, segment, offset, sequence, words."""


class Golden(unittest.TestCase):
    def test_every_golden_journal_is_here(self):
        there = {f"{case.parent.name}/{case.name}" for case in GOLDEN.glob("[0-9]*/*")}
        self.assertEqual(there, set(CASES))

    def test_steps_and_ends(self):
        for name, (steps, end) in CASES.items():
            with self.subTest(name), golden(name) as path, warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                journal, sequences = Journal(path), []
                error = journal.torn
                try:
                    for step in journal:
                        sequences.append(step.sequence)
                except (Damaged, NewerFormat) as raised:
                    error = raised
                self.assertEqual(len(sequences), steps)
                self.assertEqual(sequences, list(range(sequences[0], sequences[0] + steps)))
                self.check_end(end, error or journal.torn, told)

    def check_end(self, end, error, told):
        if end == WHOLE:
            self.assertEqual((error, told), (None, []))
            return
        kind, segment, offset, sequence, words = end
        self.assertIs(type(error), Damaged if kind == TORN else kind)
        self.assertIn(f"{segment:020}.pawl", error.file)
        self.assertEqual((error.offset, error.sequence), (offset, sequence))
        self.assertIn(words, str(error))
        self.assertEqual([it.category for it in told], [TornTailWarning] if kind == TORN else [])

    def test_arrays_of_damaged_journals_are_refused_and_those_of_their_whole_part_are_not(self):
        for name, (_, end) in CASES.items():
            if end == WHOLE or end[0] == TORN:
                continue
            with self.subTest(name), golden(name) as path:
                with self.assertRaises(end[0]) as raised:
                    Journal(path).ticks()
                part = Journal(path).until(raised.exception.sequence - 1)
                self.assertGreaterEqual(len(part.ticks()), 20)

    def test_a_journal_whose_start_was_pruned_still_knows_its_settings(self):
        with golden("1.0/missing-start") as path:
            journal = Journal(path)
            self.assertEqual(journal.first_sequence, 25)
            self.assertEqual(journal.columns, ["mid", "spread", "return_1", "sma_3", "sma_5"])
            self.assertEqual(len(journal.features()), 40)

    def test_a_journal_without_any_settings_gives_points_and_numbered_columns(self):
        with golden("1.0/whole") as path:
            for first in (1, 2093):
                (path / f"{first:020}.pawl").unlink()
            journal = Journal(path)
            self.assertIsNone(journal.settings)
            rows = journal.features()
            self.assertEqual(rows.dtype.names[4:6], ("column_0", "column_1"))
            self.assertEqual(len(rows.dtype.names), 4 + 123)
            with self.assertRaisesRegex(Exception, "run_started"):
                journal.prices(journal.ticks(), "bid")

    def test_ticks_are_the_same_in_both_formats(self):
        with golden("1.0/whole") as old, golden("1.1/whole") as new:
            old, new = Journal(old).ticks(), Journal(new).ticks()
            self.assertEqual(old.tobytes(), new.tobytes())

    def test_journals_of_1_1_hold_the_frames_and_indexes_that_1_0_had_not(self):
        for name in ("1.1/whole", "1.1/turns"):
            with self.subTest(name), golden(name) as path:
                make.check("1.1", path)

    def test_the_engine_of_today_shows_the_same_steps(self):
        versions = ("1.0", "1.1")
        for name in (f"{version}/{case}" for version in versions for case in ("whole", "turns", "unsealed")):
            with self.subTest(name), golden(name) as path:
                lines = pawl("tail", path, "--kind", "tick", "--format", "csv").splitlines()[1:]
                ticks = Journal(path).ticks()
                self.assertEqual([int(line.split(",")[0]) for line in lines], ticks["sequence"].tolist())


if __name__ == "__main__":
    unittest.main()
