//! A writer in a process of its own is killed at random moments, in every durability mode, while tailers in other
//! processes follow it.
//!
//! ```text
//!  this process: start > let the tailers follow > SIGKILL > are they at the same end? > what does the next one find?
//!  the writer:   open > append as fast as it can, until it is killed
//!  tailers:      two see what is committed, one what is durable; orders come by stdin, answers go by stdout
//! ```
//!
//! What must hold: every tailer sees every step once and in order over all the lives of the writer (it ends with an
//! error at the first that is not so); what one of them has seen is there for the next writer; the one that waits for
//! durable steps is never ahead, and has seen everything once the next writer has recovered it; the journal of all
//! lives verifies without a finding. `PAWL_SOAK=1` asks for many more lives.

#![expect(clippy::unwrap_used, reason = "a writer or tailer that fails is what this test is there to find")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use pawl_journal::log::{Appender, From, JournalOptions, Tailer};
use pawl_journal::record::{Sequence, Step};
use tempfile::TempDir;

#[path = "log/support.rs"]
#[expect(dead_code, reason = "shared with the situations of tests/log.rs")]
mod support;

/// The durability modes, in turn.
const MODES: [&str; 3] = ["page-cache", "async:1ms", "gated"];

/// Steps between two requests of a gated writer that one be durable.
const REQUEST_EVERY: u64 = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", dir, mode] => write(Path::new(dir), mode),
        ["tail", dir, what] => tail(Path::new(dir), what == "durable"),
        [..] if arguments.iter().any(|argument| argument == "--list") => println!("kill: test"),
        _ => follow_and_kill(),
    }
}

fn options(mode: &str) -> JournalOptions {
    JournalOptions { durability: mode.parse().unwrap(), ..support::SMALL }
}

/// The writer's life: it has no end of its own.
fn write(dir: &Path, mode: &str) {
    let mut appender = Appender::create_or_open(dir, &options(mode)).unwrap();
    let watermarks = appender.watermarks();
    let mut step = Step::new();
    loop {
        let sequence = appender.next_sequence();
        support::build(&mut step, sequence.0);
        appender.append(&step).unwrap();
        if mode == "gated" && sequence.0.is_multiple_of(REQUEST_EVERY) {
            watermarks.request(sequence);
        }
    }
}

/// A tailer's life. It follows all the time. Orders: `until N` is answered when step N was seen, `roll` when the next
/// segment was entered, `end` when nothing more is there; each with the last step that was seen.
fn tail(dir: &Path, is_durable: bool) {
    let open = if is_durable { Tailer::durable } else { Tailer::open };
    let mut tailer = open(dir, From::Start).unwrap();
    let orders = orders();
    let mut order: Option<String> = None;
    let (mut seen, mut offset, mut has_rolled) = (0_u64, 0, false);
    loop {
        if order.is_none() {
            match orders.try_recv() {
                Ok(next) => (order, has_rolled) = (Some(next), false),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {}
            }
        }
        let found = tailer.poll().unwrap();
        let is_end = found.is_none();
        if let Some(frame) = found {
            seen += 1;
            support::assert_is(&frame, seen);
            has_rolled |= frame.offset() < offset;
            offset = frame.offset();
        }
        let is_done = order.as_deref().is_some_and(|order| match order.split_once(' ') {
            Some((_, until)) => seen >= until.parse().unwrap(),
            None if order == "roll" => has_rolled,
            None => is_end,
        });
        if is_done {
            order = None;
            println!("{seen}");
        } else if is_end {
            thread::yield_now();
        }
    }
}

/// The lines of stdin as they come, read by a thread.
fn orders() -> Receiver<String> {
    let (sender, orders) = channel();
    thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    orders
}

/// A process of this program; killed when dropped, so that a failed check does not leave it behind.
struct Process(Child);

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().unwrap();
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL. It fails only for a process that has ended already, which the wait then says.
        drop(self.0.kill());
        self.0.wait().unwrap();
    }
}

/// A tailer's process.
struct Follower {
    process: Process,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Follower {
    fn start(dir: &Path, what: &str) -> Self {
        let mut process = Process::start(&["tail", dir.to_str().unwrap(), what]);
        let orders = process.0.stdin.take();
        let answers = BufReader::new(process.0.stdout.take().unwrap());
        Self { process, orders, answers }
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders.as_ref().unwrap(), "{order}").unwrap();
    }

    /// The last step that the tailer has seen, when it has done what it was told to.
    fn answer(&mut self) -> u64 {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().parse().expect("the tailer has ended with an error, which it told above")
    }

    fn ask(&mut self, order: &str) -> u64 {
        self.order(order);
        self.answer()
    }

    /// Ends the tailer, which must agree.
    fn finish(mut self) {
        drop(self.orders.take());
        let mut rest = String::new();
        self.answers.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        assert!(self.process.0.wait().unwrap().success());
    }
}

/// When a life ends.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// After so many turns of an idle loop from the start of the process on: before, in or behind recovery.
    Early(u64),
    /// When this many more steps were seen.
    Steps(u64),
    /// When the next segment was entered: it may not have its own name yet.
    Roll,
}

/// Numbers that look random and are the same in every run.
fn scatter(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ mixed >> 29
}

fn moment(life: u64) -> Moment {
    let random = scatter(life);
    match life % 4 {
        0 => Moment::Early(random % 4_000_000),
        1 => Moment::Roll,
        2 => Moment::Steps(1 + random % 300),
        _ => Moment::Steps(1 + random % 14_009),
    }
}

/// Whether a segment is there that has no name of its own yet: a spare with a header.
fn has_unnamed_segment(dir: &Path) -> bool {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut spares = names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("spare-"));
    spares.any(|path| {
        let mut magic = [0; 8];
        let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
        read.is_ok() && magic == *b"PAWLJRNL"
    })
}

fn follow_and_kill() {
    let soak = std::env::var_os("PAWL_SOAK").is_some_and(|value| value == "1");
    let lives = if soak { 600 } else { 60 };
    let home = TempDir::new().unwrap();
    let dir: PathBuf = home.path().join("journal");
    drop(Appender::create_or_open(&dir, &support::SMALL).unwrap());
    let mut tailers: Vec<_> = ["committed", "committed"].map(|what| Follower::start(&dir, what)).into();
    let mut durable = Follower::start(&dir, "durable");
    let (mut seen, mut unnamed) = (0, 0);
    for life in 0..lives {
        let mode = MODES[(life / 4 % 3) as usize];
        let writer = Process::start(&["write", dir.to_str().unwrap(), mode]);
        match moment(life) {
            Moment::Early(turns) => {
                for turn in 0..turns {
                    std::hint::black_box(turn);
                }
            }
            Moment::Steps(steps) => {
                tailers[(life % 2) as usize].ask(&format!("until {}", seen + steps));
            }
            Moment::Roll => {
                tailers[(life % 2) as usize].ask("roll");
            }
        }
        drop(writer);
        unnamed += u64::from(has_unnamed_segment(&dir));
        tailers.iter_mut().for_each(|tailer| tailer.order("end"));
        let ends: Vec<u64> = tailers.iter_mut().map(Follower::answer).collect();
        assert!(ends[0] == ends[1] && ends[0] >= seen, "life {life}: {ends:?} behind {seen}");
        seen = ends[0];
        let released = durable.ask("end");
        assert!(released <= seen, "life {life}: {released} of {seen} released as durable");
        // Every other time the next writer that is killed does the recovery, and may be killed in it.
        if life % 2 == 1 || life + 1 == lives {
            let appender = Appender::create_or_open(&dir, &options(mode)).unwrap();
            let recovered = *appender.recovered();
            assert_eq!(
                (recovered.last_sequence, recovered.lost_until),
                (Sequence(seen), Sequence(0)),
                "{life}"
            );
            assert_eq!(durable.ask("end"), seen, "life {life}: recovered, and not released");
        }
    }
    tailers.into_iter().for_each(Follower::finish);
    durable.finish();
    assert_eq!(support::read_all(&dir), seen);
    let verified = support::check(&dir);
    assert_eq!((verified.findings, verified.steps), (vec![], seen));
    println!(
        "kill: {lives} writers killed, {unnamed} behind a segment without its name; {seen} steps, {} segments, \
         nothing lost",
        verified.segments
    );
}
