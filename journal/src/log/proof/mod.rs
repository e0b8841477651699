//! The proof: seeded histories of a journal on a simulated machine that dies, and what must hold of every one of them.
//!
//! ```text
//!  seed > History: turns of a writer, call by call --- images of the machine, at any call
//!                                                           |
//!          check: read, recover (dying again), read, go on, recover again <-+
//! ```
//!
//! Rooms: `history` writes, `check` judges an image, `account` is what the writer was told. `crash` and `failing` run
//! them on the journal as it is, `planted` on a journal with a bug.
//!
//! Beside them: `flips`, `hostile` and `mended` are about bytes, `loom` and `heap` about the order of stores.
//!
//! The suite runs the numbers that the tests state. `PAWL_SOAK=1` runs two hundred times as many, and `PAWL_SEED=n` runs
//! the one history whose seed a failure has printed.

pub(super) mod account;
mod blow;
mod check;
mod crash;
mod driven;
mod failing;
mod flips;
mod heap;
mod history;
mod hostile;
mod loom;
mod loom_storage;
mod memory;
mod mended;
mod picture;
mod planted;
pub(super) mod random;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What does not hold.
type Violation = String;

/// Says what does not hold unless it does.
macro_rules! hold {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(format!($($what)+));
        }
    };
}
use hold;

/// How many of something to run: `count`, or many times more if the environment asks for it.
pub(in crate::log) fn scale(count: u64) -> u64 {
    let is_soak = std::env::var("PAWL_SOAK").is_ok_and(|value| value == "1");
    if is_soak { count * 200 } else { count }
}

/// The one seed to run, if the environment names one.
pub(in crate::log) fn only_seed() -> Option<u64> {
    std::env::var("PAWL_SEED").ok().map(|text| text.parse().expect("PAWL_SEED is a number"))
}

/// Runs histories with the seeds from `first` on until they have given this many images, on two threads. Says how
/// many there were.
///
/// # Panics
/// If one of them shows a violation: with its seed.
#[expect(clippy::print_stdout, reason = "a test that looks for something says how far it looked")]
fn run(first: u64, images: u64, history: impl Fn(u64) -> Result<u64, Violation> + Sync) -> u64 {
    let judged = |seed: u64| match history(seed) {
        Ok(images) => images,
        Err(violation) => panic!("{violation}\n  PAWL_SEED={seed} runs this history again"),
    };
    if let Some(seed) = only_seed() {
        return judged(seed);
    }
    let (next, done, failed) = (AtomicU64::new(first), AtomicU64::new(0), AtomicUsize::new(0));
    let work = || {
        while done.load(Ordering::Relaxed) < images && failed.load(Ordering::Relaxed) == 0 {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            match history(seed) {
                Ok(images) => {
                    done.fetch_add(images, Ordering::Relaxed);
                }
                Err(violation) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    panic!("{violation}\n  PAWL_SEED={seed} runs this history again");
                }
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let (histories, images) = (next.into_inner() - first, done.into_inner());
    println!("{images} images of {histories} histories");
    images
}
