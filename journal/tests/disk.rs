//! A disk that is full, and files that are cut under those who read them: the writer is told before anything faults,
//! the journal stays whole, and it goes on when there is room again.
//!
//! ```text
//!  this process: a small tmpfs in a mount namespace of its own (unshare), and in it this program once more;
//!                and once where no file may be over 600 KB (RLIMIT_FSIZE), which any container allows
//!  the other:    fills the disk > supply Low, Out > error > verify, seal > room > on it goes
//! ```
//!
//! What must hold: no process ends by SIGBUS but the reader whose file was cut, which is documented.

#![expect(clippy::unwrap_used, reason = "a situation that cannot be set up fails its test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pawl_journal::log::{Appender, Damage, JournalError, Reader, SealReason, Supply};
use pawl_journal::record::{Sequence, Step};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

#[path = "log/support.rs"]
mod support;

/// Bytes of the small disk: six segments and what else there is.
const DISK_BYTES: u64 = 6_700_000;

/// Bytes that only wait to be deleted.
const BALLAST_BYTES: u64 = 2 << 20;

/// Most bytes of a file where the disk cannot be a small one.
const FILE_BYTES: u64 = 600_000;

const SIGBUS: i32 = 7;

const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fill", dir, how] => fill(&Room::new(Path::new(dir), how)),
        ["read", dir] => read_half_and_the_rest(Path::new(dir)),
        [..] if arguments.iter().any(|argument| argument == "--list") => println!("disk: test"),
        _ => {
            on_a_full_disk();
            a_file_cut_under_a_reader_ends_it_by_a_signal_and_is_damage_to_the_next();
        }
    }
}

/// Runs the situations of a full disk under a limit, and on a disk that may be filled if there can be one.
fn on_a_full_disk() {
    let home = TempDir::new().unwrap();
    let dir = home.path().to_str().unwrap();
    let program = std::env::current_exe().unwrap();
    // The signal that comes with the limit is ignored, and stays so over an exec.
    let limited = "trap '' XFSZ; exec \"$0\" fill \"$1\" limit";
    let status = Command::new("sh").args(["-c", limited]).arg(&program).arg(dir).status().unwrap();
    assert!(status.success(), "with a limit: {status}");
    let mount = "mount -t tmpfs -o size=\"$2\" none \"$1\" && exec \"$0\" fill \"$1\" disk";
    for flags in [&["-m"][..], &["-U", "-r", "-m"]] {
        let try_mount = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", "mount -t tmpfs -o size=1m none \"$0\"", dir])
            .stderr(Stdio::null())
            .status();
        if try_mount.is_ok_and(|status| status.success()) {
            let mut filled = Command::new("unshare");
            filled.args(flags).args(["sh", "-c", mount]).arg(&program).args([dir, &DISK_BYTES.to_string()]);
            let status = filled.status().unwrap();
            assert!(status.success(), "on a full disk: {status}");
            println!("disk: filled a tmpfs of {DISK_BYTES} bytes (unshare {})", flags.join(" "));
            return;
        }
    }
    eprintln!(
        "disk: a tmpfs may not be mounted here, so no disk was filled; only the length of files was limited"
    );
}

/// A place where room can be taken and given back.
struct Room {
    dir: PathBuf,
    is_disk: bool,
}

impl Room {
    fn new(dir: &Path, how: &str) -> Self {
        Self { dir: dir.to_path_buf(), is_disk: how == "disk" }
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }

    /// Takes some of the room, so that the rest is soon used up; under a limit, all of it.
    fn narrow(&self) {
        if self.is_disk {
            fs::write(self.ballast(), vec![1; BALLAST_BYTES as usize]).unwrap();
        } else {
            limit(Some(FILE_BYTES));
        }
    }

    /// Takes all that is left but for a few pages.
    fn close(&self) {
        self.narrow();
        if self.is_disk {
            let mut rest = File::create(self.dir.join("rest")).unwrap();
            while rest.write_all(&[1; 4096]).is_ok() {}
        }
    }

    fn free(&self) {
        if self.is_disk {
            fs::remove_file(self.ballast()).unwrap();
            drop(fs::remove_file(self.dir.join("rest")));
        } else {
            limit(None);
        }
    }

    /// Whether it is the error of no room.
    fn is_it(&self, error: &JournalError) -> bool {
        match error {
            JournalError::DiskFull { .. } => true,
            JournalError::Io { source, .. } => {
                !self.is_disk && source.kind() == std::io::ErrorKind::FileTooLarge
            }
            _ => false,
        }
    }
}

fn limit(bytes: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

fn fill(room: &Room) {
    a_writer_is_warned_then_told_and_goes_on_when_there_is_room(room);
    a_writer_that_was_told_ends_its_turn_and_the_next_one_waits_for_room(room);
    a_copy_that_does_not_fit_is_a_refusal_that_loses_nothing(room);
}

/// Waits until something holds, while the writer tends its journal.
fn wait(appender: &mut Appender, mut holds: impl FnMut(&mut Appender) -> bool) {
    let began = Instant::now();
    while !holds(appender) {
        appender.tend().unwrap();
        assert!(began.elapsed() < PATIENCE, "it does not come to hold");
        thread::yield_now();
    }
}

/// Spares that are ready: whole, and nobody has gone on in them.
fn spares(dir: &Path) -> usize {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let spares = paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("spare-"));
    spares
        .filter_map(|path| File::open(path).ok())
        .filter(|file| {
            let mut magic = [1; 8];
            let len = file.metadata().unwrap().len();
            len == support::SMALL.segment_bytes
                && file.read_exact_at(&mut magic, 0).is_ok()
                && magic == [0; 8]
        })
        .count()
}

/// Appends until it is told that there is no room, at a pace at which the supplier is heard. Gives what it was told.
fn append_until_full(appender: &mut Appender) -> (Vec<Supply>, JournalError) {
    let watermarks = appender.watermarks();
    let (mut heard, mut rolls) = (vec![watermarks.supply()], watermarks.statistics().rolls);
    let mut step = Step::new();
    loop {
        support::build(&mut step, appender.next_sequence().0);
        let told = appender.append(&step);
        let now = watermarks.statistics().rolls;
        if told.is_ok() && now > rolls {
            rolls = now;
            let dir = appender.dir().to_path_buf();
            let before = *heard.last().unwrap();
            // Either there are two again, or it says that there are not.
            wait(appender, |_| watermarks.supply() > before || spares(&dir) >= 2 || before == Supply::Out);
        }
        let supply = watermarks.supply();
        if supply != *heard.last().unwrap() {
            heard.push(supply);
        }
        if let Err(error) = told {
            return (heard, error);
        }
    }
}

fn assert_whole(dir: &Path, steps: u64) {
    assert_eq!(support::read_all(dir), steps);
    let findings = support::check(dir).findings;
    assert!(findings.is_empty(), "{}", findings[0]);
}

fn a_writer_is_warned_then_told_and_goes_on_when_there_is_room(room: &Room) {
    let dir = room.dir.join("journal");
    let mut appender = Appender::create_or_open(&dir, &support::SMALL).unwrap();
    wait(&mut appender, |_| spares(&dir) == 2);
    support::append(&mut appender, 100);
    room.narrow();
    let (heard, error) = append_until_full(&mut appender);
    assert_eq!(heard, [Supply::Enough, Supply::Low, Supply::Out], "{error}");
    assert!(room.is_it(&error), "{error}");
    let last = appender.next_sequence().0 - 1;
    assert_whole(&dir, last);
    // Told again, as often as it tries.
    let mut step = Step::new();
    support::build(&mut step, last + 1);
    assert!(room.is_it(&appender.append(&step).unwrap_err()));
    room.free();
    let began = Instant::now();
    while let Err(error) = appender.append(&step) {
        assert!(room.is_it(&error) && began.elapsed() < PATIENCE, "{error}");
    }
    wait(&mut appender, |appender| appender.watermarks().supply() == Supply::Enough);
    support::append(&mut appender, 1_000);
    assert_eq!(appender.watermarks().failure(), None);
    appender.seal(SealReason::Ended).unwrap();
    drop(appender);
    assert_whole(&dir, last + 1_001);
    fs::remove_dir_all(dir).unwrap();
}

fn a_writer_that_was_told_ends_its_turn_and_the_next_one_waits_for_room(room: &Room) {
    let dir = room.dir.join("journal");
    let mut appender = Appender::create_or_open(&dir, &support::SMALL).unwrap();
    wait(&mut appender, |_| spares(&dir) == 2);
    room.narrow();
    let (_, error) = append_until_full(&mut appender);
    assert!(room.is_it(&error), "{error}");
    let last = appender.next_sequence().0 - 1;
    appender.seal(SealReason::Failed).unwrap();
    assert_eq!(appender.watermarks().durable(), Sequence(last));
    drop(appender);
    assert_whole(&dir, last);
    assert!(support::check(&dir).sealed);
    room.free();
    room.close();
    let before = contents(&dir);
    let error = Appender::create_or_open(&dir, &support::SMALL).unwrap_err();
    assert!(room.is_it(&error), "{error}");
    assert_eq!(
        pawl_files(&contents(&dir)),
        pawl_files(&before),
        "a writer that is refused changes no segment"
    );
    assert_whole(&dir, last);
    room.free();
    let mut appender = Appender::create_or_open(&dir, &support::SMALL).unwrap();
    assert_eq!(appender.recovered().last_sequence, Sequence(last));
    assert!(appender.recovered().was_clean);
    support::append(&mut appender, 100);
    drop(appender);
    assert_whole(&dir, last + 100);
    fs::remove_dir_all(dir).unwrap();
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Segments and what is in them; a spare is nothing yet.
fn pawl_files(contents: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<(&Path, u32)> {
    let is_segment = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".pawl") && !name.starts_with("spare-")
    };
    let segments = contents.iter().filter(|(path, _)| is_segment(path));
    segments.map(|(path, bytes)| (path.as_path(), crc32c::crc32c(bytes))).collect()
}

fn a_copy_that_does_not_fit_is_a_refusal_that_loses_nothing(room: &Room) {
    let dir = room.dir.join("journal");
    let mut appender = Appender::create_or_open(&dir, &support::SMALL).unwrap();
    support::append(&mut appender, 100);
    let torn_at = appender.bytes_written();
    drop(appender);
    let segment = support::segments(&dir).pop().unwrap();
    // What a machine leaves that died: much behind a hole.
    let torn = vec![0xA5; 900_000];
    File::options().write(true).open(&segment).unwrap().write_all_at(&torn, torn_at + 8).unwrap();
    let before = fs::read(&segment).unwrap();
    room.close();
    for _ in 0..2 {
        let error = Appender::create_or_open(&dir, &support::SMALL).unwrap_err();
        assert!(room.is_it(&error), "{error}");
        assert!(fs::read(&segment).unwrap() == before, "nothing is cleared without a copy");
    }
    room.free();
    let mut appender = Appender::create_or_open(&dir, &support::SMALL).unwrap();
    assert_eq!(appender.recovered().last_sequence, Sequence(100));
    assert!(appender.recovered().quarantined_bytes >= torn.len() as u64);
    support::append(&mut appender, 100);
    drop(appender);
    assert_whole(&dir, 200);
    let kept = contents(&dir.join("quarantine"));
    let copies: Vec<_> = kept.iter().filter(|(path, _)| path.extension().unwrap() == "tail").collect();
    assert_eq!(copies.len(), 1);
    assert!(copies[0].1[8..8 + torn.len()] == torn, "the copy is whole");
    fs::remove_dir_all(dir).unwrap();
}

/// Reads some steps, waits for a line, reads on.
fn read_half_and_the_rest(dir: &Path) {
    let mut reader = Reader::open(dir).unwrap();
    for sequence in 1..=100 {
        support::assert_is(&reader.next().unwrap().unwrap(), sequence);
    }
    println!("half");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    while reader.next().unwrap().is_some() {}
}

fn a_file_cut_under_a_reader_ends_it_by_a_signal_and_is_damage_to_the_next() {
    let (_home, dir) = support::journal(5_000);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["read", dir.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "half\n");
    let segment = support::segments(&dir).remove(0);
    let len = 128 * 1024;
    File::options().write(true).open(segment).unwrap().set_len(len).unwrap();
    writeln!(child.stdin.take().unwrap()).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(SIGBUS), "{status}");
    // The next one is told where the file ends, and by what it is short.
    let mut reader = Reader::open(&dir).unwrap();
    let (count, error) = loop_to_error(&mut reader);
    let JournalError::Damaged { offset, sequence, what, .. } = error else { panic!("{error}") };
    assert!(matches!(what, Damage::Truncated { found, .. } if found == len), "{what}");
    assert!(offset <= len && sequence == Sequence(count + 1));
    println!(
        "disk: a reader of a file that was cut ended by signal {SIGBUS}, the next one read {count} steps"
    );
}

fn loop_to_error(reader: &mut Reader) -> (u64, JournalError) {
    let mut count = 0;
    loop {
        match reader.next() {
            Ok(Some(frame)) => {
                count += 1;
                support::assert_is(&frame, count);
            }
            Ok(None) => panic!("the cut was taken for the end"),
            Err(error) => return (count, error),
        }
    }
}
