//! `Common` and `Sections`: the flags that every benchmark has, those of one in sections, and what it prints.

use std::fmt::Display;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Conditions, Place};
use crate::machine;
use crate::output::{OutFile, Replaces, check_outside_journals, put, say, time_text};

/// Where, how long, and in which form.
#[derive(Debug, Args)]
pub struct Common {
    /// Existing directory to write the journals in, in one of its own, pawl-bench-..., which is removed afterwards [default:
    /// the system's temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A smoke test of a few seconds: every section, too short for numbers
    #[arg(long)]
    pub quick: bool,
    /// Keep the results as a JSON record in this existing directory
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long)]
    pub json: bool,
}

/// The flags of a benchmark whose sections can be measured alone.
#[derive(Debug, Args)]
pub struct Sections<S: ValueEnum + Send + Sync + 'static> {
    #[command(flatten)]
    common: Common,
    /// Only these sections, separated by commas
    #[arg(long, value_name = "SECTION,..", value_delimiter = ',', value_enum)]
    only: Vec<S>,
}

impl<S: ValueEnum + Send + Sync> Deref for Sections<S> {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.common
    }
}

impl<S: ValueEnum + Copy + PartialEq + Send + Sync> Sections<S> {
    /// Whether a section is to be measured.
    pub fn wants(&self, section: S) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }
}

impl Common {
    /// The place to write in.
    ///
    /// # Errors
    /// If it is no directory that holds journals.
    pub fn place(&self) -> anyhow::Result<Place> {
        Place::new(self.dir.as_deref())
    }

    /// The record that [`Self::end`] writes, if one is to be kept.
    ///
    /// # Errors
    /// If it cannot be written there.
    pub fn record(&self, bench: &str) -> anyhow::Result<Option<OutFile>> {
        let Some(dir) = &self.record else { return Ok(None) };
        check_directory("--record", dir)?;
        let time = time_text(machine::now());
        let name = format!("{bench}-{}Z.json", time[..19].replace(':', ""));
        let again = Replaces::Nothing("wait a second, or name another directory");
        OutFile::check("--record", &dir.join(name), again).map(Some)
    }

    /// What is to be said beside the numbers of a smoke test.
    pub fn caution(&self) -> Option<&'static str> {
        (self.quick || cfg!(debug_assertions)).then_some("a smoke test: these numbers do not count")
    }

    /// Prints the conditions, unless all is told as JSON at the end. Gives [`Self::record`].
    ///
    /// # Errors
    /// If nothing can be written, or the record could not be.
    pub fn begin(&self, bench: &str, conditions: &Conditions) -> anyhow::Result<Option<OutFile>> {
        let record = self.record(bench)?;
        if !self.json {
            put!("Conditions\n{conditions}");
            if let Some(caution) = self.caution() {
                say!(" {caution}");
            }
        }
        Ok(record)
    }

    /// Prints what a section measured, unless all is told at the end.
    ///
    /// # Errors
    /// If nothing can be written.
    pub fn show(&self, section: &impl Display) -> anyhow::Result<()> {
        if !self.json {
            put!("\n{section}");
        }
        Ok(())
    }

    /// Prints everything as JSON, if that is asked for, and keeps it in the record.
    ///
    /// # Errors
    /// If nothing can be written.
    pub fn end(&self, report: &impl Serialize, record: Option<&OutFile>) -> anyhow::Result<()> {
        if let Some(record) = record {
            record.write(&(serde_json::to_string_pretty(report)? + "\n"))?;
        }
        if self.json {
            say!("{}", serde_json::to_string(report)?);
        }
        Ok(())
    }
}

/// Refuses, before anything is measured, a directory that `flag` names and that no file can be made in.
///
/// # Errors
/// If it is none, lies in a journal, or cannot be written to.
pub fn check_directory(flag: &str, dir: &Path) -> anyhow::Result<()> {
    let told = dir.display();
    if !dir.exists() {
        bail!("{flag} {told}: there is no such directory: make it first");
    }
    if !dir.is_dir() {
        bail!("{flag} {told} is no directory: name one, the files in it get names of their own");
    }
    check_outside_journals(flag, dir)?;
    let probe = tempfile::tempfile_in(dir);
    probe.with_context(|| format!("{flag} {told} cannot be written to: name another directory"))?;
    Ok(())
}
