//! A program beside the engine: follows a journal under a name, and goes on where it was when it is started again.
//!
//! `cargo run -p pawl-journal --example tail JOURNAL [NAME]`

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use pawl_journal::log::{Cursor, From, JournalError, Tailer};
use pawl_journal::record::OrderRequest;

fn main() -> Result<(), JournalError> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap_or_else(|| "pawl-demo".to_owned()));
    let name = arguments.next().unwrap_or_else(|| "example".to_owned());
    let mut cursor = Cursor::open(&dir, &name)?;
    let mut tailer = Tailer::durable(&dir, From::Sequence(cursor.next_sequence()))?;
    loop {
        // Asked before the last poll: what a writer wrote before it went is there behind the "no".
        let is_written = tailer.writer_alive();
        while let Some(frame) = tailer.poll()? {
            for order in frame.step().all::<OrderRequest>() {
                println!("step {}: {} {} lots", frame.sequence(), order.side, order.lots.0);
            }
        }
        // Everything before this step is done. Killed before the save, it is done again: at least once.
        cursor.save(tailer.next_sequence())?;
        if !is_written {
            return Ok(());
        }
        sleep(Duration::from_millis(10));
    }
}
