//! Signals: SIGINT, SIGTERM and SIGHUP end a command in order, and who asks a second time ends it at once.
//!
//! ```text
//!  the first                 sets the flag that the command looks at; where it looks at none, the command ends at once
//!  SIGINT, SIGTERM again     the command ends at once: what it has for itself alone is removed, all else stays as it is
//! ```
//!
//! Invariants: a signal that was ignored when the command began stays ignored, as `nohup` and a script's background jobs
//! want it. SIGHUP never asks a second time, nor does what comes with the first: a terminal that closes sends SIGHUP
//! from the kernel and from the shell, with SIGTERM behind it; `timeout` sends its signal to the process and to its group.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What the shell says of a program that a signal ended: Ctrl-C.
const INTERRUPTED: i32 = 130;

/// How long behind the first signal another one belongs to it.
const TOGETHER: Duration = Duration::from_millis(100);

/// Longest time for which a directory is removed that other threads still make files in, or remove themselves.
const REMOVAL: Duration = Duration::from_secs(2);

/// What a signal finds.
struct Handling {
    is_listening: bool,
    stop: Option<Arc<AtomicBool>>,
    word: Option<&'static str>,
    own: Vec<PathBuf>,
}

static HANDLING: Mutex<Handling> =
    Mutex::new(Handling { is_listening: false, stop: None, word: None, own: Vec::new() });

fn handling() -> MutexGuard<'static, Handling> {
    HANDLING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A flag that the first signal sets; the same one at every call. From now on the command ends by itself, and puts in
/// order what it leaves.
///
/// # Errors
/// If the system refuses handlers or their thread.
pub fn stop_on_signals() -> std::io::Result<Arc<AtomicBool>> {
    let mut handling = handling();
    listen(&mut handling)?;
    Ok(Arc::clone(handling.stop.get_or_insert_default()))
}

/// As [`stop_on_signals`], and the first signal is answered with this word on stderr.
///
/// # Errors
/// As there.
pub fn stop_with_word(word: &'static str) -> std::io::Result<Arc<AtomicBool>> {
    handling().word = Some(word);
    stop_on_signals()
}

/// Has a directory of the command's own removed where a signal ends the command at once.
///
/// # Errors
/// As of [`stop_on_signals`].
pub fn remove_at_once(own: &Path) -> std::io::Result<()> {
    let mut handling = handling();
    listen(&mut handling)?;
    handling.own.push(own.to_path_buf());
    Ok(())
}

fn listen(handling: &mut Handling) -> std::io::Result<()> {
    if handling.is_listening {
        return Ok(());
    }
    let ignored = ignored_signals(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
    let taken = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(taken)?;
    let answer = move || {
        let mut asked = Asked::default();
        for signal in signals.forever() {
            if !begin_to_stop() || asked.again(signal, Instant::now()) {
                end_at_once();
            }
        }
    };
    std::thread::Builder::new().name("pawl-signals".into()).spawn(answer)?;
    handling.is_listening = true;
    Ok(())
}

/// The ignored signals in a `/proc/PID/status`, signal 1 in the lowest bit.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Sets the flag; false if the command looks at none.
fn begin_to_stop() -> bool {
    let handling = handling();
    let Some(stop) = &handling.stop else { return false };
    if !stop.swap(true, Ordering::AcqRel)
        && let Some(word) = handling.word
    {
        say(word);
    }
    true
}

fn end_at_once() -> ! {
    for own in &handling().own {
        let began = Instant::now();
        while own.exists() && began.elapsed() < REMOVAL {
            if std::fs::remove_dir_all(own).is_err() {
                std::thread::sleep(REMOVAL / 1_000);
            }
        }
        if own.exists() {
            say(&format!("{} is left: remove it yourself", own.display()));
        }
    }
    signal_hook::low_level::exit(INTERRUPTED)
}

/// Says a line on stderr; a terminal that is gone hears nothing.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "pawl: {line}");
}

/// Whether the user asked already.
#[derive(Default)]
struct Asked(Option<Instant>);

impl Asked {
    /// Whether this signal asks a second time.
    fn again(&mut self, signal: i32, now: Instant) -> bool {
        if signal == SIGHUP {
            return false;
        }
        let first = *self.0.get_or_insert(now);
        now.saturating_duration_since(first) > TOGETHER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_twice_is_told_from_a_terminal_that_closes() {
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let again = |signals: &[(i32, u64)]| {
            let mut asked = Asked::default();
            signals.iter().any(|(signal, milliseconds)| asked.again(*signal, at(*milliseconds)))
        };
        assert!(again(&[(SIGINT, 0), (SIGINT, 200)]) && again(&[(SIGTERM, 0), (SIGTERM, 5_000)]));
        assert!(again(&[(SIGINT, 0), (SIGTERM, 1_000)]), "a supervisor that lost its patience");
        assert!(!again(&[(SIGHUP, 0), (SIGHUP, 1), (SIGHUP, 3_000)]), "kernel and shell");
        assert!(!again(&[(SIGHUP, 0), (SIGTERM, 2)]) && !again(&[(SIGHUP, 0), (SIGTERM, 3_000)]));
        assert!(!again(&[(SIGTERM, 0), (SIGTERM, 1)]), "told to the process and to its group");
    }

    #[test]
    fn ignored_signals_are_read_from_the_status_of_a_process() {
        let status = "Name:\tpawl\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\nSigCgt:\t0\n";
        assert_eq!(ignored_signals(status), 0x1003, "SIGHUP, SIGINT and SIGPIPE");
        assert_eq!((ignored_signals(""), ignored_signals("SigIgn: nonsense")), (0, 0));
    }
}
