//! A writer in a process of its own is killed at random moments while tailers in this process follow it.
//!
//! ```text
//!  this process: start > follow with three tailers > SIGKILL > every tailer at the same end? > reopen > again
//!  the writer:   open > append as fast as it can, until it is killed
//! ```
//!
//! What must hold: every tailer sees every step once and in order over all the lives of the writer; what one of
//! them has seen is there for the next writer; the journal of all of them verifies without a finding.

#![expect(clippy::unwrap_used, reason = "a writer or tailer that fails is what this test is there to find")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use pawl_journal::log::{Appender, From, Tailer};
use pawl_journal::record::{Sequence, Step};
use tempfile::TempDir;

#[path = "log/support.rs"]
#[expect(dead_code, reason = "shared with the situations of tests/log.rs")]
mod support;

/// Lives of the writer.
const LIVES: u64 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", dir] => write(Path::new(dir)),
        [..] if arguments.iter().any(|argument| argument == "--list") => println!("kill: test"),
        _ => follow_and_kill(),
    }
}

/// The writer's life: it has no end of its own.
fn write(dir: &Path) {
    let mut appender = Appender::create_or_open(dir, &support::SMALL).unwrap();
    let mut step = Step::new();
    loop {
        support::build(&mut step, appender.next_sequence().0);
        appender.append(&step).unwrap();
    }
}

/// The writer's process; killed when dropped, so that a failed check does not leave it behind.
struct Writer(Child);

impl Writer {
    fn start(dir: &Path) -> Self {
        let program = std::env::current_exe().unwrap();
        let child = Command::new(program).arg("write").arg(dir).stdout(Stdio::null()).spawn().unwrap();
        Self(child)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // SIGKILL. It fails only for a process that has ended already, which the wait then says.
        drop(self.0.kill());
        self.0.wait().unwrap();
    }
}

fn follow_and_kill() {
    let home = TempDir::new().unwrap();
    let dir: PathBuf = home.path().join("journal");
    drop(Appender::create_or_open(&dir, &support::SMALL).unwrap());
    let mut tailers: Vec<_> = (0..3).map(|_| Tailer::open(&dir, From::Start).unwrap()).collect();
    let mut seen = 0;
    for life in 0..LIVES {
        let writer = Writer::start(&dir);
        // From the first step of a life to some rolls into it, in steps that no roll is a multiple of.
        let enough = seen + 1 + life * life * 97 % 14_009;
        let ends: Vec<u64> = thread::scope(|scope| {
            let followers: Vec<_> = tailers
                .iter_mut()
                .map(|tailer| scope.spawn(move || follow(tailer, seen, Some(enough))))
                .collect();
            followers.into_iter().map(|follower| follower.join().unwrap()).collect()
        });
        drop(writer);
        let after: Vec<u64> =
            tailers.iter_mut().zip(&ends).map(|(tailer, end)| follow(tailer, *end, None)).collect();
        assert!(after.iter().all(|end| *end == after[0]), "life {life}: {after:?}");
        assert!(!tailers[0].writer_alive());
        seen = after[0];
        let appender = Appender::create_or_open(&dir, &support::SMALL).unwrap();
        assert_eq!(appender.recovered().last_sequence, Sequence(seen), "life {life}");
    }
    assert_eq!(support::read_all(&dir), seen);
    let verified = support::check(&dir);
    assert_eq!(verified.findings, []);
    assert_eq!((verified.steps, verified.sealed), (seen, false));
    println!("kill: {LIVES} writers killed, {seen} steps, {} segments, nothing lost", verified.segments);
}

/// Polls from behind step `seen` on, until step `enough` was seen, or to the end. Gives the last step seen.
fn follow(tailer: &mut Tailer, mut seen: u64, enough: Option<u64>) -> u64 {
    loop {
        match tailer.poll().unwrap() {
            Some(frame) => {
                seen += 1;
                support::assert_is(&frame, seen);
            }
            None if enough.is_none() => return seen,
            None => thread::yield_now(),
        }
        if enough.is_some_and(|enough| seen >= enough) {
            return seen;
        }
    }
}
