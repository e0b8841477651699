//! `Sections`: the flags that every benchmark in sections has, and what it prints.

use std::fmt::Display;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Conditions, Place};
use crate::output::{put, say};

/// Where, how long, which, and in which form.
#[derive(Debug, Args)]
pub struct Sections<S: ValueEnum + Send + Sync + 'static> {
    /// Existing directory to write the journals in; they are removed afterwards [default: the system's temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A smoke test of a few seconds: every section, too short for numbers
    #[arg(long)]
    pub quick: bool,
    /// Only these sections
    #[arg(long, value_name = "SECTION", value_delimiter = ',', value_enum)]
    only: Vec<S>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

impl<S: ValueEnum + Copy + PartialEq + Send + Sync> Sections<S> {
    /// The place to write in.
    ///
    /// # Errors
    /// If it is no directory that holds journals.
    pub fn place(&self) -> anyhow::Result<Place> {
        Place::new(self.dir.as_deref())
    }

    /// Whether a section is to be measured.
    pub fn wants(&self, section: S) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }

    /// Prints the conditions, unless all is told as JSON at the end.
    ///
    /// # Errors
    /// If nothing can be written.
    pub fn begin(&self, conditions: &Conditions) -> anyhow::Result<()> {
        if !self.json {
            put!("Conditions\n{conditions}");
            if self.quick || cfg!(debug_assertions) {
                say!(" a smoke test: these numbers do not count");
            }
        }
        Ok(())
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

    /// Prints everything as JSON, if that is asked for.
    ///
    /// # Errors
    /// If nothing can be written.
    pub fn end(&self, report: &impl Serialize) -> anyhow::Result<()> {
        if self.json {
            say!("{}", serde_json::to_string(report)?);
        }
        Ok(())
    }
}
