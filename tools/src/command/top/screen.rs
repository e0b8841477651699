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

    /// The columns of stdout, if it is a terminal.
    pub fn columns_of_stdout() -> Option<usize> {
        io::stdout().is_terminal().then(|| size().ok().map(|(columns, _)| usize::from(columns)))?
    }

    /// Draws a page that was made for so many columns. No line is ever cut: half a number is another number.
    pub fn draw(&mut self, page: impl FnOnce(usize) -> String) -> Result<(), OutputError> {
        let (columns, rows) = size().unwrap_or((80, 24));
        let lines = lines_for(&page(usize::from(columns)), usize::from(columns), usize::from(rows));
        let mut out = io::stdout().lock();
        let drawn = || -> io::Result<()> {
            for (row, line) in (0..rows).zip(lines) {
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

/// The lines of a page that a terminal of this size shows, and what is to be said where that is not all.
fn lines_for(page: &str, columns: usize, rows: usize) -> Vec<String> {
    let wanted = page.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    if wanted > columns {
        let told = format!("terminal too small: {wanted} columns are needed, it has {columns}");
        // Broken anywhere, it can be read.
        return told
            .chars()
            .collect::<Vec<_>>()
            .chunks(columns.max(1))
            .map(|part| part.iter().collect())
            .collect();
    }
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    if lines.len() > rows {
        let more = lines.len() + 1 - rows;
        lines.truncate(rows.saturating_sub(1));
        let told = [
            format!(" .. {more} more lines, for a taller terminal"),
            format!(" .. {more} more"),
            String::new(),
        ];
        lines.extend(told.into_iter().find(|told| told.len() <= columns));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_whole_or_says_what_is_missing() {
        let page = "ticks 193,852\nsteps 193,853\nlag 0\n";
        assert_eq!(lines_for(page, 13, 3), page.lines().collect::<Vec<_>>());
        assert_eq!(lines_for(page, 13, 2), ["ticks 193,852", " .. 2 more"]);
        assert_eq!(lines_for(page, 50, 2)[1], " .. 2 more lines, for a taller terminal");
        let small = lines_for(page, 12, 3);
        assert_eq!(small.concat(), "terminal too small: 13 columns are needed, it has 12");
        assert!(small.iter().all(|line| line.len() <= 12));
    }
}
