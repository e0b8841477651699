//! The screen: a page of text on the terminal that is drawn again and again. The only file that names `crossterm`.
//!
//! Invariant: dropped, also by a panic, it leaves the terminal as it found it.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{Event, KeyCode, KeyModifiers, poll, read};
use crossterm::style::Print;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};

use crate::exit::OutputError;

/// The terminal, taken until dropped.
pub struct Screen(());

impl Screen {
    /// Whether there is a terminal to draw on and to read keys from.
    pub fn is_possible() -> bool {
        io::stdout().is_terminal() && io::stdin().is_terminal()
    }

    /// Takes the terminal.
    pub fn open() -> Result<Self, OutputError> {
        enable_raw_mode().map_err(OutputError)?;
        // From here on whatever happens puts it back.
        let screen = Self(());
        execute!(io::stdout(), EnterAlternateScreen, Hide).map_err(OutputError)?;
        Ok(screen)
    }

    /// Draws as much of a text as fits.
    pub fn draw(&mut self, text: &str) -> Result<(), OutputError> {
        let (columns, rows) = size().unwrap_or((80, 24));
        let mut out = io::stdout().lock();
        let mut drawn = || -> io::Result<()> {
            for (row, line) in (0..rows).zip(text.lines()) {
                let line: String = line.chars().take(usize::from(columns)).collect();
                queue!(out, MoveTo(0, row), Print(line), Clear(ClearType::UntilNewLine))?;
            }
            queue!(out, Clear(ClearType::FromCursorDown))?;
            out.flush()
        };
        drawn().map_err(OutputError)
    }

    /// Waits for a key; whether it was one that leaves.
    pub fn wants_to_leave(&mut self, wait: Duration) -> Result<bool, OutputError> {
        if !poll(wait).map_err(OutputError)? {
            return Ok(false);
        }
        let Event::Key(key) = read().map_err(OutputError)? else { return Ok(false) };
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        Ok(matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc)
            || (is_control && matches!(key.code, KeyCode::Char('c'))))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}
