//! What a person or a program reads: tables, progress, records as text, JSON and CSV.

/// Writes a line to stdout, or returns the error: a reader that goes away, as `head` does, is no reason to panic.
macro_rules! say {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($argument)*).map_err($crate::exit::OutputError)?
    }};
}

/// As `say!`, without ending the line.
macro_rules! put {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        write!(std::io::stdout(), $($argument)*).map_err($crate::exit::OutputError)?
    }};
}

pub(crate) use {put, say};

mod diff;
mod place;
mod progress;
mod record;
mod report;
mod summary;
mod table;

pub use diff::DiffPrinter;
pub use place::{OutFile, Replaces, beginning, check_outside_journals};
pub use progress::Bar;
pub use record::{
    Names, csv_cell, csv_header, csv_row, millisecond_text, plain_text, record_json, shown_name, step_json,
    step_text, time_text,
};
pub use report::{RETURNS_HEAD, View, moment, money, page, percent, ratio, report_json, returns_csv, span};
pub use summary::{cents, summary_text, thousands};
pub use table::Table;
