"""Following a journal while it is written: every step once and in order, to the end of its writer."""

import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import WIDE, Journal, binary, contents, make, no_tear, pawl


class Follow(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.home = Path(home.name)
        self.path = self.home / "journal"
        make.feed(self.home / "feed.csv", 2400)
        text = make.CONFIGURATION.format(bars="10s", columns=WIDE, stamps="true")
        (self.home / "pawl.toml").write_text(text)

    def start(self, speed):
        command = [binary(), "run", "--config", "pawl.toml", "--feed", "feed.csv", "--symbol", "EURUSD"]
        command += ["--journal", "journal", "--threading", "single", "--speed", speed]
        writer = subprocess.Popen(command, cwd=self.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(writer.wait)
        self.addCleanup(writer.kill)
        # The journal is there when its first segment has its name.
        while not list(self.path.glob("[0-9]*.pawl")):
            self.assertIsNone(writer.poll(), "the run ended before it began")
        return writer

    def test_a_run_is_followed_across_a_roll_to_its_end(self):
        writer, found = self.start("120"), []
        with no_tear():
            for step in Journal(self.path, follow=True):
                if not found:
                    self.assertIsNone(writer.poll(), "it is followed while it runs")
                found.append(step.sequence)
        self.assertEqual(writer.wait(), 0)
        self.assertEqual(found, list(range(1, len(found) + 1)))
        self.assertEqual(contents(Journal(self.path).seek(len(found)))[0][2][0][0], "run_ended")
        self.assertGreaterEqual(len(list(self.path.glob("[0-9]*.pawl"))), 2)

    def test_a_command_is_a_step_of_the_journal_that_is_followed(self):
        self.start("10")
        journal = Journal(self.path, follow=True)
        for step in journal:
            if step.sequence == 50:
                pawl("ctl", self.path, "reduce-only")
            command = step.get("command")
            if command is not None:
                break
        self.assertEqual(command.label("action"), "reduce-only")
        self.assertTrue(journal.writer_alive())
        self.assertEqual(Journal(self.path).table("command")["action"].tolist(), [3])

    def test_a_follower_ends_when_its_writer_is_killed(self):
        writer, found = self.start("60"), []
        with no_tear():
            for step in Journal(self.path, follow=True):
                found.append(step.sequence)
                if step.sequence == 300:
                    writer.send_signal(signal.SIGKILL)
        self.assertEqual(found, list(range(1, len(found) + 1)))
        self.assertGreaterEqual(len(found), 300)
        self.assertEqual(Journal(self.path).last_sequence, len(found))
        self.assertFalse(Journal(self.path).writer_alive())


if __name__ == "__main__":
    unittest.main()
