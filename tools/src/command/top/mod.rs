//! `pawl top`: watch an engine: rates, lag, watermarks, latencies, refusals, read from its counters.
//!
//! ```text
//!  JOURNAL/counters, cursors/, followers/ --read--> Frame --> page --> a screen that redraws itself, or one look
//!                                                     `-----> lines of JSON
//! ```
//!
//! Invariants: the engine is not asked and nothing is written; the terminal is put back as it was, however this ends.

mod frame;
mod page;
mod screen;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use pawl_engine::quantity::Span;
use pawl_engine::runtime::counters::catalogue::LabelNames;
use pawl_replay::settings_of;

use self::frame::Frame;
use self::page::page;
use self::screen::Screen;
use crate::exit::Exit;
use crate::output::{put, say};
use crate::signals::stop_on_signals;

/// How often a wait looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Watch an engine: rates, lag of every tailer, watermarks, latencies by stage, refusals by reason.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl top J\n  pawl top J --once\n  pawl top J --interval 250ms\n  \
    pawl top J --json | jq .rates\n  pawl top J --once --json\n\n\
    The first look shows rates since the run began, every other one those since the look before. `q` or Ctrl-C ends it. \
    Where stdout is no terminal, and with --json, one look follows the other until the engine ends.\n\n\
    The values are those of the file `counters` in the journal, which the engine writes ten times a second: they are \
    there after it ended or died, too, and the first line says so; an engine that has not written for three seconds is called silent. \
    A narrow terminal gets fewer columns. Percentiles are within 6.25 %. A program that follows \
    the journal is seen while it lives (`pawl tail --follow`) if it may write there, and by its cursor where it was last saved.\n\n\
    Exit codes: 0 done; 2 no journal, no counters, or another version's or damaged ones.")]
pub struct Top {
    /// Directory of the journal
    journal: PathBuf,
    /// Look once
    #[arg(long)]
    once: bool,
    /// Time between two looks, from 100ms to 1h
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_interval)]
    interval: Duration,
    /// Print one JSON object per look
    #[arg(long)]
    json: bool,
}

impl Top {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let mut frame = Frame::read(&self.journal, names(&self.journal))?;
        if self.once {
            self.print(&frame)?;
            return Ok(Exit::Yes);
        }
        if !self.json && Screen::is_possible() {
            return self.watch(frame);
        }
        let stop = stop_on_signals()?;
        loop {
            self.print(&frame)?;
            let deadline = Instant::now() + self.interval;
            while Instant::now() < deadline {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return Ok(Exit::Yes);
                }
                std::thread::sleep(LOOK.min(deadline.saturating_duration_since(Instant::now())));
            }
            if !frame.is_running() {
                return Ok(Exit::Yes);
            }
            frame = frame.next(&self.journal)?;
        }
    }

    fn print(&self, frame: &Frame) -> anyhow::Result<()> {
        if self.json {
            say!("{}", frame.json(&self.journal));
        } else {
            put!("{}", page(frame, &self.journal, Screen::columns_of_stdout().unwrap_or(usize::MAX)));
        }
        Ok(())
    }

    /// Redraws the screen until the user or a signal ends it.
    fn watch(&self, mut frame: Frame) -> anyhow::Result<Exit> {
        let stop = stop_on_signals()?;
        let mut screen = Screen::open()?;
        loop {
            screen.draw(|columns| page(&frame, &self.journal, columns))?;
            let deadline = Instant::now() + self.interval;
            while Instant::now() < deadline {
                let wait = LOOK.min(deadline.saturating_duration_since(Instant::now()));
                if screen.wants_to_leave(wait)? || stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return Ok(Exit::Yes);
                }
            }
            frame = frame.next(&self.journal)?;
        }
    }
}

/// What the instruments and agents of a journal are called; nothing where its settings are lost.
fn names(journal: &Path) -> LabelNames {
    settings_of(journal).map(|(recorded, _)| LabelNames::of(&recorded.engine)).unwrap_or_default()
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let span: Span = text.parse()?;
    let interval = Duration::from_nanos(span.0.unsigned_abs());
    if span.0 > 0 && (LOOK..=Duration::from_secs(3_600)).contains(&interval) {
        Ok(interval)
    } else {
        Err("give a time from 100ms to 1h".to_owned())
    }
}
