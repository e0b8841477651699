"""Bytes that are not what a writer wrote: said by name and place, and never given as steps."""

import random
import shutil
import struct
import unittest
import warnings

import support
from support import Journal, contents, golden, make, no_tear, scratch

from pawl_journal import Damaged, JournalError, NewerFormat, NoJournal
from pawl_journal.traversal import Range, Traversal

LAST = f"{25:020}.pawl"


def read(path):
    """The steps there are, and the error that ended the reading."""
    found, journal = [], Journal(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for step in journal:
                found += contents([step])
    except JournalError as error:
        return found, error
    return found, journal.torn


class NotAJournal(unittest.TestCase):
    def test_what_is_no_journal_is_said_to_be_none(self):
        with scratch() as home:
            (home / "file").write_text("no journal")
            (home / "empty").mkdir()
            (home / "other").mkdir()
            (home / "other" / "notes.pawl").write_text("no segment")
            for name in ("file", "empty", "other", "nothing"):
                with self.assertRaisesRegex(NoJournal, f"no journal in .*{name}"):
                    Journal(home / name)

    def test_a_file_that_only_has_the_name_of_a_segment_is_damage(self):
        for content, words in ((b"", "0 bytes instead of 4096"), (bytes(8192), "header is missing")):
            with scratch() as home:
                (home / f"{1:020}.pawl").write_bytes(content)
                with self.assertRaisesRegex(Damaged, words) as raised:
                    list(Journal(home))
                self.assertEqual((raised.exception.offset, raised.exception.sequence), (0, 1))

    def test_a_kind_that_is_none_is_named_with_those_there_are(self):
        with golden("1.0/turns") as path:
            with self.assertRaisesRegex(ValueError, "'ticks' is no kind of record; there are run_started, tick"):
                Journal(path).table("ticks")


class Damage(unittest.TestCase):
    def test_a_flipped_bit_anywhere_gives_no_step_that_was_not_written(self):
        source = random.Random(1)
        with golden("1.0/later-minor") as path:
            whole, _ = read(path)
            data = (path / LAST).read_bytes()
            used = make.frames(data)[-1][0] + make.SEAL_BYTES
            for _ in range(400):
                bit = source.randrange(used * 8)
                changed = bytearray(data)
                changed[bit // 8] ^= 1 << bit % 8
                (path / LAST).write_bytes(changed)
                found, error = read(path)
                self.assertEqual(found, whole[: len(found)], f"bit {bit}")
                # Between two frames nothing is read; everything else is noticed.
                is_padding = changed[: bit // 8] and self.is_padding(data, bit // 8)
                self.assertEqual(error is None, is_padding, f"bit {bit}: {error}")
                if error is not None:
                    self.assertEqual(error.sequence, len(found) + 1, f"bit {bit}")

    def is_padding(self, data, byte):
        return byte >= make.HEADER_BYTES and not any(at <= byte < at + length for at, length, _ in make.frames(data))

    def test_a_file_cut_anywhere_gives_the_steps_before_the_cut_and_says_so(self):
        with golden("1.0/later-minor") as path:
            whole, _ = read(path)
            data = (path / LAST).read_bytes()
            ends = [at + -(-length // 32) * 32 for at, length in make.steps(data)]
            used = make.frames(data)[-1][0] + make.SEAL_BYTES
            for cut in [*range(0, 4200, 313), *range(4200, used, 61), *ends, used, used + 7]:
                (path / LAST).write_bytes(data[:cut])
                found, error = read(path)
                before = 24 + sum(end <= cut for end in ends)
                self.assertEqual(found, whole[:before], f"cut at {cut}")
                self.assertEqual(error is None, cut >= used, f"cut at {cut}: {error}")

    def test_damage_in_front_of_a_seal_or_a_later_segment_is_no_torn_end(self):
        with golden("1.0/unsealed") as path:
            self.flip(path / LAST)
            self.assertIsNone(self.raised(path), "in the last segment, without a seal: torn")
            shutil.copy(path / LAST, path / f"{49:020}.pawl")
            self.assertIsInstance(self.raised(path), Damaged)
        with golden("1.0/later-minor") as path:
            self.flip(path / LAST)
            self.assertIsInstance(self.raised(path), Damaged)

    def test_damage_below_the_durable_watermark_is_no_torn_end(self):
        for durable, is_torn in ((35, True), (36, True), (37, False)):
            with golden("1.0/unsealed") as path:
                payload = struct.pack("<QQQH6x", durable, 25, 8192, 3)
                make.edit(path / LAST, lambda data, it=payload: make.insert(data, 2, 4, make.SKIPPABLE, it))
                make.edit(path / LAST, self.flip_step(37))
                self.assertEqual(self.raised(path) is None, is_torn, f"durable up to {durable}")

    def raised(self, path):
        """What reading raises; a torn end only warns."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                list(Journal(path))
        except JournalError as error:
            return error
        return None

    def flip(self, path):
        make.edit(path, self.flip_step(37))

    def flip_step(self, sequence):
        def change(data):
            data[make.steps(data)[sequence - 25][0] + 40] ^= 1

        return change


class Newer(unittest.TestCase):
    def test_frames_of_format_1_1_are_stepped_over(self):
        with golden("1.0/later-minor") as path:
            whole, _ = read(path)

            def change(data):
                for place, kind, flags, payload in (
                    (2, 4, 1, struct.pack("<QQQH6x", 20, 1, 10_176, 2)),
                    (9, 6, 1, struct.pack("<QQQ32s", 1, 1, 10_240, b"\x17" * 32)),
                    (15, 2, 0, bytes(4096 - 32)),
                    (20, 2, 1, b""),
                ):
                    make.insert(data, place, kind, flags, payload)

            make.edit(path / LAST, change)
            with no_tear():
                found, error = read(path)
            self.assertEqual((found, error), (whole, None))

    def test_a_later_version_of_a_record_is_refused_as_an_array_and_stays_readable_as_bytes(self):
        with golden("1.0/turns") as path:

            def change(data):
                at, length = make.steps(data)[5]
                frame = data[at : at + length]
                frame[32 + 2] = 2
                make.put(data, at, frame)

            make.edit(path / f"{1:020}.pawl", change)
            with self.assertRaisesRegex(NewerFormat, "version 2 of tick") as raised:
                Journal(path).ticks()
            self.assertEqual(raised.exception.sequence, 6)
            record = next(iter(Journal(path).seek(6))).input
            self.assertEqual((record.kind, record.version, record.fields(), len(record.bytes())), ("tick", 2, {}, 56))
            with self.assertRaisesRegex(AttributeError, "version 2 has no field 'bid'"):
                record.bid  # noqa: B018
            self.assertEqual(len(Journal(path).predictions()), 2)

    def test_records_of_an_unknown_kind_are_given_by_their_number(self):
        with golden("1.0/turns") as path:

            def change(data):
                at, length = make.steps(data)[5]
                frame = data[at : at + length]
                struct.pack_into("<H", frame, 32, 60)
                make.put(data, at, frame)

            make.edit(path / f"{1:020}.pawl", change)
            self.assertEqual(next(iter(Journal(path).seek(6))).input.kind, "unknown_60")
            self.assertEqual(Journal(path).counts()["unknown_60"], 1)
            self.assertEqual(len(Journal(path).ticks()), 59)


class Rolls(unittest.TestCase):
    def test_a_segment_that_still_has_the_name_of_a_spare_is_found(self):
        with golden("1.0/whole") as path:
            whole, _ = read(path)
            second = sorted(path.glob("[0-9]*.pawl"))[1]
            second.rename(path / f"spare-{2:020}.pawl")
            self.assertEqual(read(path), (whole, None))
            self.assertEqual(Journal(path).seek(2000).counts(), {"steps": 205, **self.counts_from(2000, whole)})

    def counts_from(self, sequence, whole):
        found = {}
        for at, _, records in whole:
            for kind, _, _ in records if at >= sequence else ():
                found[kind] = found.get(kind, 0) + 1
        return found

    def test_a_segment_that_is_gone_behind_a_roll_is_damage(self):
        with golden("1.0/whole") as path:
            files = sorted(path.glob("[0-9]*.pawl"))
            for gone in files[1:]:
                gone.unlink()
            found, error = read(path)
            self.assertIsInstance(error, Damaged)
            self.assertEqual(error.sequence, int(files[1].stem))
            self.assertIn("is missing", str(error))
            self.assertEqual(len(found), int(files[1].stem) - 1)

    def test_a_segment_of_another_journal_is_not_entered(self):
        with golden("1.0/turns") as path, golden("1.0/later-minor") as other:
            shutil.copy(other / LAST, path / LAST)
            _, error = read(path)
            self.assertIn("another journal's id", str(error))

    def test_a_follower_in_a_segment_without_steps_goes_on_in_the_one_that_replaces_it(self):
        with golden("1.0/later-minor") as path:
            whole, _ = read(path)
            next_turn = (path / LAST).read_bytes()
            make.edit(path / LAST, stepless)
            traversal = Traversal(Journal(path)._directory, Range(), True)
            looks = []

            def is_written():
                # The next writer comes while the follower waits, and is gone when it looks again.
                if not looks:
                    (path / "spare").write_bytes(turned(next_turn))
                    (path / "spare").rename(path / LAST)
                looks.append(True)
                return len(looks) == 1

            traversal.directory.is_written = is_written
            sequences = [int(it) for block in traversal.blocks(poll_seconds=0.1) for it in block.sequences]
            self.assertEqual(sequences, [sequence for sequence, _, _ in whole])
            self.assertGreaterEqual(len(looks), 2)


def stepless(data):
    """Leaves the epoch frame of a segment and a seal behind it: the writer died before its first step."""
    (epoch, length, _), seal = make.frames(data)[0], make.frames(data)[-1][0]
    frame = data[seal : seal + make.SEAL_BYTES]
    data[epoch + length :] = bytes(len(data) - epoch - length)
    struct.pack_into("<QqHHHH", frame, 8, *struct.unpack_from("<Qq", data, epoch + 8), make.SEAL, 0, 0, 0)
    struct.pack_into("<QQQH", frame, 32, 24, 0, 25, 4)
    make.put(data, epoch + length, frame)


def turned(data):
    """The same segment as the next turn would have written it: another epoch, another salt."""
    data, epoch = bytearray(data), 3
    struct.pack_into("<QQ", data, 80, 7, epoch)
    make.seal_header(data)
    struct.pack_into("<Q", data, make.frames(data)[0][0] + 32, epoch)
    for at, length, _ in make.frames(data):
        make.put(data, at, data[at : at + length])
    return data


class Checksums(unittest.TestCase):
    def test_the_checksum_of_many_runs_is_that_of_each(self):
        from pawl_journal.checksum import crc32c, crc32c_all

        self.assertEqual(crc32c(b"123456789"), 0xE3069283)
        np, source = support.np, random.Random(2)
        words = np.frombuffer(source.randbytes(1 << 17), dtype="<i8")
        counts = np.array([1, 2, 15, 16, 17, 31, 32, 33, 8191, *(source.randrange(1, 100) for _ in range(200))])
        starts = np.array([source.randrange(len(words) - count) for count in counts])
        starts[:3] = 0
        seeds = np.array([source.randrange(1 << 32) for _ in counts])
        data, found = words.tobytes(), crc32c_all(words, starts, counts, seeds)
        for start, count, seed, crc in zip(starts, counts, seeds, found):
            self.assertEqual(int(crc), crc32c(data[start * 8 : (start + count) * 8], int(seed)), f"{start} {count}")


if __name__ == "__main__":
    unittest.main()
