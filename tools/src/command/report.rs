//! `pawl report`: what a journal's trading came to.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, ValueEnum};
use pawl_replay::{Interval, ReportOptions, report};

use crate::exit::Exit;
use crate::opened::Opened;
use crate::output::{
    Bar, OutFile, RETURNS_HEAD, Replaces, Table, View, beginning, page, put, report_json, returns_csv, say,
    thousands,
};

/// Report what the trading came to: risk and reward, round trips, costs, per symbol and per agent.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl report J\n  pawl report J --html report.html\n  \
    pawl report J --json | jq .returns\n  pawl report J --every hour --returns returns.csv\n\n\
    Every figure says how it is computed. Equity is taken at every tick; returns are sampled at the interval's \
    boundaries in UTC\nand annualised by the calendar (a closed market returns 0). The page is one file and fetches nothing.\n\n\
    A file that is there is replaced only if it is an earlier report's, and only by a whole one.\n\n\
    Exit codes: 0 done, 2 unusable, 3 the environment failed.")]
pub struct Report {
    /// Directory of the journal, or a bundle
    journal: PathBuf,
    /// Write one self-contained page: plots, tables, latencies and every order
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the sampled equity and its returns as CSV
    #[arg(long, value_name = "FILE")]
    returns: Option<PathBuf>,
    /// How far apart returns are: by the length of the journal unless given (day from 30 days on, hour from 2 days on)
    #[arg(long, value_name = "INTERVAL")]
    every: Option<Every>,
    /// Returns in a year, instead of the calendar's 365 days, 8,760 hours or 525,600 minutes
    #[arg(long, value_name = "N")]
    periods_per_year: Option<f64>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// How far apart returns are.
#[derive(Clone, Copy, ValueEnum)]
pub enum Every {
    Minute,
    Hour,
    Day,
}

impl From<Every> for Interval {
    fn from(every: Every) -> Self {
        match every {
            Every::Minute => Self::Minute,
            Every::Hour => Self::Hour,
            Every::Day => Self::Day,
        }
    }
}

impl Report {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let opened = Opened::take(&mut self.journal)?;
        if let Some(it) = self.periods_per_year.filter(|it| !(it.is_finite() && *it > 0.0)) {
            bail!("--periods-per-year {it} must be a number above 0, such as 252");
        }
        // Before the journal is walked: a wrong path should not cost the time.
        let check = |flag, file: &Option<PathBuf>, own| {
            file.as_deref().map(|file| OutFile::check(flag, file, own)).transpose()
        };
        let html = check("--html", &self.html, Replaces::Own("a page of `pawl report`", is_page))?;
        let returns = check(
            "--returns",
            &self.returns,
            Replaces::Own("a table of `pawl report --returns`", is_returns),
        )?;
        if self.html.is_some() && self.html == self.returns {
            bail!("--html and --returns name the same file: name two");
        }
        let options =
            ReportOptions { every: self.every.map(Interval::from), periods_per_year: self.periods_per_year };
        let bar = Bar::new("reporting", 1);
        let found = report(&self.journal, options, |at, last| {
            bar.set_total(last.0);
            bar.set(at.0);
        })?;
        drop(bar);
        let view = View::new(&found, opened.named());
        if let Some(file) = &html {
            file.write(&page(&found, &view)?)?;
        }
        if let Some(file) = &returns {
            file.write(&returns_csv(&found))?;
        }
        if self.json {
            say!("{}", report_json(&found, &view));
        } else {
            print_text(&view)?;
            self.html.iter().chain(&self.returns).try_for_each(|file| {
                say!("wrote {}", file.display());
                anyhow::Ok(())
            })?;
        }
        Ok(Exit::Yes)
    }
}

/// Whether a file is a page of a report.
fn is_page(file: &Path) -> std::io::Result<bool> {
    let beginning = String::from_utf8_lossy(&beginning(file)?).into_owned();
    Ok(beginning.starts_with("<!doctype html>") && beginning.contains("<title>Pawl report: "))
}

/// Whether a file is the returns of a report.
fn is_returns(file: &Path) -> std::io::Result<bool> {
    Ok(beginning(file)?.starts_with(RETURNS_HEAD.as_bytes()))
}

fn print_text(view: &View) -> anyhow::Result<()> {
    say!("{}   {}", view.journal, view.period);
    for note in &view.notes {
        say!("note: {note}");
    }
    let mut table = Table::new(&[]);
    for it in &view.figures {
        table.row([it.name, &it.value.text, &it.detail, &it.meaning]);
    }
    put!("\n{table}");
    for grid in view.grids.iter().filter(|grid| !grid.rows.is_empty()) {
        let mut table = Table::new(&grid.heads);
        for row in &grid.rows {
            table.row(row.iter().map(|cell| &cell.text));
        }
        table.numbers_from(grid.numbers_from);
        say!("\n{}", grid.title);
        put!("{table}");
        say!(" {}", grid.caption);
    }
    let orders = view.orders.rows.len() + view.orders_left_out;
    say!("\n{} orders and refusals: --html FILE and --json list them", thousands(orders as u64));
    Ok(())
}
