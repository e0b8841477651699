"""Makes the golden journals of one format version with the `pawl` command that writes it.

python3 journal/tests/golden/make.py --version 1.0 --pawl BIN     (needs numpy, as the reader in tools/python does)

VERSION/whole (two turns, the first of which rolls) and VERSION/turns (three short ones) are what the command wrote.
Every other case is a journal of two or three short turns with a known change, made by the function of its name below.
A case is a directory of gzipped segment files and, since 1.1, their indexes. Files of a released version are never made
again: they are what that version wrote. From 1.1 on a thread beside the writer decides where pad, sync and digest
frames come, so another run gives other bytes, and the tables other offsets. `golden.rs` and `tools/python/tests/test_golden.py` say what each one is worth.
"""

import argparse
import gzip
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tools" / "python"))
from pawl_journal.checksum import crc32c  # noqa: E402

HEADER_BYTES, SEAL_BYTES = 4096, 64
STEP, PAD, SEAL, SYNC, DIGEST, LATER = 1, 2, 3, 4, 6, 77
SKIPPABLE = 1


# ---- What the command writes ----------------------------------------------------------------------------------------

CONFIGURATION = """
[journal]
segment_bytes = 1048576
[runtime]
cores = "none"
stamps = {stamps}
[features]
bars = "{bars}"
columns = {columns}
[[agent]]
name = "cross"
on = "bar"
rule.fast = "sma_3"
rule.slow = "sma_5"
"""


def feed(path, ticks):
    """A market that swings between two prices, ten ticks a second, as MetaTrader 5 exports it."""
    lines = ["<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>"]
    for tick in range(ticks):
        at, swing = tick * 100 + 500, abs(tick // 20 % 40 - 20)
        time = f"09:{at // 60_000:02}:{at // 1_000 % 60:02}.{at % 1_000:03}"
        lines.append(
            f"2024.01.02\t{time}\t1.{10_000 + swing:05}\t1.{10_002 + swing:05}\t\t\t6"
        )
    path.write_text("\n".join(lines) + "\n")


def write(pawl, journal, turns, bars, columns, stamps, arguments=()):
    """A journal with a turn for each of these feed lengths: every turn goes on where the one before it ended."""
    # Run by its bare name in a directory of its own: the journal records the command line.
    with tempfile.TemporaryDirectory() as home:
        home = pathlib.Path(home)
        shutil.copy(pawl, home / "pawl")
        environment = {**os.environ, "PATH": f"{home}:{os.environ['PATH']}"}
        for ticks in turns:
            feed(home / "feed.csv", ticks)
            (home / "pawl.toml").write_text(
                CONFIGURATION.format(
                    bars=bars, columns=columns, stamps=str(stamps).lower()
                )
            )
            command = [
                "pawl",
                "run",
                "--config",
                "pawl.toml",
                "--feed",
                "feed.csv",
                "--symbol",
                "EURUSD",
            ]
            command += ["--journal", "journal", "--threading", "single", *arguments]
            subprocess.run(
                command,
                cwd=home,
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
            )
        journal.mkdir()
        for path in segments(home / "journal") + indexes(home / "journal"):
            shutil.copy(path, journal)


# ---- Changing bytes -------------------------------------------------------------------------------------------------


def segments(journal):
    """The segment files, in order."""
    return sorted(journal.glob("[0-9]*.pawl"))


def indexes(journal):
    """The index files, in order."""
    return sorted(journal.glob("[0-9]*.idx"))


def edit(path, change):
    """Changes the bytes of a file in place."""
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def frames(data):
    """Offset, length and kind of every frame of a segment."""
    at, found = HEADER_BYTES, []
    while word := struct.unpack_from("<II", data, at)[0]:
        found.append((at, word, struct.unpack_from("<H", data, at + 24)[0]))
        at += -(-word // 32) * 32
    return found


def steps(data):
    """Offset and length of every step."""
    return [(at, length) for at, length, kind in frames(data) if kind == STEP]


def durable_of(data):
    """First sequence of a segment, and the last one that its sync frames say was on disk; 0 if there is none."""
    told = [struct.unpack_from("<Q", data, at + 32)[0] for at, _, kind in frames(data) if kind == SYNC]
    return struct.unpack_from("<Q", data, 56)[0], max(told, default=0)


def seal_header(data):
    """Stores a header's checksum."""
    struct.pack_into("<I", data, 4092, crc32c(data[:4092]))


def put(data, at, frame):
    """Puts a frame where it gets its checksum for; a seal is told where it is."""
    if struct.unpack_from("<H", frame, 24)[0] == SEAL:
        struct.pack_into("<Q", frame, 40, at + SEAL_BYTES)
    start = crc32c(data[80:96]) ^ at
    struct.pack_into("<II", frame, 0, len(frame), crc32c(frame[8:], start))
    data[at : at + len(frame)] = frame


def insert(data, place, kind, flags, payload=b"from a later version.   "):
    """Puts a control frame in front of the frame in this place, and moves that one and all behind it."""
    found = frames(data)
    moved = [bytearray(data[at : at + length]) for at, length, _ in found[place:]]
    at = found[place][0]
    data[at:] = bytes(len(data) - at)
    before = found[place - 1][0]
    time = struct.unpack_from("<q", data, before + 16)[0]
    sequence = struct.unpack_from("<Q", moved[0], 8)[0]
    control = bytearray(
        struct.pack("<IIQqHHHH", 0, 0, sequence, time, kind, flags, 0, 0) + payload
    )
    for frame in [control, *moved]:
        put(data, at, frame)
        at += -(-len(frame) // 32) * 32


# ---- The cases ------------------------------------------------------------------------------------------------------


def edit_end(journal, change):
    """Changes the last segment, which its writer did not finish: it has no index."""
    path = segments(journal)[-1]
    edit(path, change)
    path.with_suffix(".idx").unlink(missing_ok=True)


def unsealed(journal):
    """A writer that was killed: the last segment without its seal."""

    def change(data):
        at = frames(data)[-1][0]
        data[at : at + SEAL_BYTES] = bytes(SEAL_BYTES)

    edit_end(journal, change)


def lose_half_of_the_last_step(data):
    """Clears everything from the middle of the last step on; gives its offset."""
    at, length = steps(data)[-1]
    lost = at + length // 2
    data[lost:] = bytes(len(data) - lost)
    return at


def torn_append(journal):
    """A writer that was killed in the middle of an append: bytes behind a commit word that is not there."""

    def change(data):
        at = lose_half_of_the_last_step(data)
        data[at : at + 8] = bytes(8)

    edit_end(journal, change)


def torn_page(journal):
    """A machine that stopped: the commit word of the last step was written back, half of its bytes were not."""
    edit_end(journal, lose_half_of_the_last_step)


def flipped_byte(journal):
    """One bit of a step in the middle of the second segment."""

    def change(data):
        found = steps(data)
        data[found[len(found) // 2][0] + 40] ^= 4

    edit(segments(journal)[1], change)


def flipped_durable(journal):
    """A writer that was killed, and one bit of the last step which its sync frames say was on disk."""

    def change(data):
        at = frames(data)[-1][0]
        data[at : at + SEAL_BYTES] = bytes(SEAL_BYTES)
        first, durable = durable_of(data)
        data[steps(data)[durable - first][0] + 40] ^= 4

    edit_end(journal, change)


def wrong_index(journal):
    """The last index has its checksum and an entry that is one sequence too far."""

    def change(data):
        segment = segments(journal)[-1].read_bytes()
        at = steps(segment)[10][0]
        sequence, time = struct.unpack_from("<Qq", segment, at + 8)
        data[64:] = struct.pack("<QQq", at, sequence + 1, time)
        struct.pack_into("<I", data, 56, 1)
        struct.pack_into("<I", data, 60, crc32c(data[64:], crc32c(data[:60])))

    edit(indexes(journal)[-1], change)


def flipped_header(journal):
    """One bit of the second segment's header."""
    edit(segments(journal)[1], lambda data: data.__setitem__(2000, data[2000] ^ 1))


def missing_middle(journal):
    """The second of three segments is gone."""
    segments(journal)[1].unlink()


def missing_start(journal):
    """The first segment is gone, as after a prune."""
    segments(journal)[0].unlink()


def truncated(journal):
    """The last segment was cut in the middle of a step."""

    def change(data):
        found = steps(data)
        del data[found[len(found) // 2][0] + 40 :]

    edit(segments(journal)[-1], change)


def later_minor(journal):
    """A later minor version with compatible features, which every reader of 1.0 reads."""

    def change(data):
        struct.pack_into("<H", data, 10, 9)
        struct.pack_into("<Q", data, 16, 1 << 63 | 5)
        seal_header(data)

    edit(segments(journal)[-1], change)


def newer_major(journal):
    """The last segment is of format 2.3."""

    def change(data):
        struct.pack_into("<HH", data, 8, 2, 3)
        seal_header(data)

    edit(segments(journal)[-1], change)


def incompatible_feature(journal):
    """The last segment uses a feature that readers must know."""

    def change(data):
        names = b"41 folded frames\n"
        struct.pack_into("<Q", data, 24, 1 << 41)
        data[1024 : 1024 + len(names)] = names
        seal_header(data)

    edit(segments(journal)[-1], change)


def unknown_skippable(journal):
    """A pad and a control frame of a later version that may be skipped, in the middle of the last segment."""

    def change(data):
        insert(data, len(frames(data)) // 2, LATER, SKIPPABLE)
        insert(data, len(frames(data)) // 2, PAD, 0)

    edit(segments(journal)[-1], change)


def unknown_frame(journal):
    """A control frame of a later version that may not be skipped, in the middle of the last segment."""
    edit(
        segments(journal)[-1],
        lambda data: insert(data, len(frames(data)) // 2, LATER, 0),
    )


CASES = {
    "1.0": {
        "pair": [
            unsealed,
            torn_append,
            torn_page,
            truncated,
            later_minor,
            newer_major,
            incompatible_feature,
            unknown_skippable,
            unknown_frame,
        ],
        "turns": [flipped_byte, flipped_header, missing_middle, missing_start],
    },
    "1.1": {
        "pair": [
            unsealed,
            torn_append,
            torn_page,
            flipped_durable,
            wrong_index,
            newer_major,
        ],
        "turns": [flipped_header, missing_middle],
    },
}
"""The changed journals of a version, by the journal that they are made from."""

ARGUMENTS = {
    "1.0": [],
    # So slow that the flusher comes to its syncs between the steps.
    "1.1": ["--set", "journal.durability=async:1ms", "--speed", "500"],
}
"""What a version is run with."""


def check(version, journal):
    """Fails where a thread beside the writer had no time to write what a journal of this version is kept for."""
    if version == "1.0":
        return
    there = {kind for path in segments(journal) for _, _, kind in frames(path.read_bytes())}
    if not {PAD, SYNC, DIGEST} <= there:
        sys.exit(f"{journal.name} holds only frames of the kinds {sorted(there)}: make it again")
    first, durable = durable_of(segments(journal)[-1].read_bytes())
    if durable < first:
        sys.exit(f"{journal.name} says of no step in its last segment that it is on disk: make it again")
    if len(indexes(journal)) != len(segments(journal)):
        sys.exit(f"{journal.name} has segments without an index: make it again")


def pack(journal, case):
    """Gzips the segments and indexes of a journal into the directory of a case; the same bytes give the same file."""
    shutil.rmtree(case, ignore_errors=True)
    case.mkdir(parents=True)
    for path in segments(journal) + indexes(journal):
        with open(case / f"{path.name}.gz", "wb") as file:
            with gzip.GzipFile(
                filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0
            ) as packed:
                packed.write(path.read_bytes())


def main():
    parser = argparse.ArgumentParser(
        description="Makes the golden journals of one format version."
    )
    parser.add_argument(
        "--version",
        required=True,
        choices=CASES,
        help="format version that BIN writes, for example 1.0",
    )
    parser.add_argument(
        "--pawl", required=True, help="the `pawl` command of that version"
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=HERE,
        help="where the directory of the version goes",
    )
    chosen = parser.parse_args()
    out = chosen.out / chosen.version
    # Columns that never warm up make large steps of few bits: a segment is full soon and packs well.
    wide = ["mid", "sma_3", "sma_5", *(f"sma_{period}" for period in range(100, 220))]
    narrow = ["mid", "spread", "return_1", "sma_3", "sma_5"]
    with tempfile.TemporaryDirectory() as home:
        home = pathlib.Path(home)
        for name, turns, bars, columns, stamps in [
            ("whole", [1900, 2000], "10s", wide, False),
            ("turns", [20, 40, 60], "1s", narrow, True),
            ("pair", [20, 40], "1s", narrow, True),
        ]:
            arguments = ARGUMENTS[chosen.version]
            write(chosen.pawl, home / name, turns, bars, columns, stamps, arguments)
            check(chosen.version, home / name)
        for name in ("whole", "turns"):
            pack(home / name, out / name)
        for base, cases in CASES[chosen.version].items():
            for case in cases:
                journal = home / case.__name__
                shutil.copytree(home / base, journal)
                case(journal)
                pack(journal, out / case.__name__.replace("_", "-"))
    size = sum(path.stat().st_size for path in out.rglob("*.gz"))
    print(f"{len(list(out.iterdir()))} cases, {size} bytes, in {out}")


if __name__ == "__main__":
    main()
