//! The page: one self-contained file of HTML, without scripts, fonts or anything that is fetched.
//!
//! Everything from outside (symbols, agents, paths, currencies) goes through the template's escaping. The page itself
//! forbids scripts and fetching (`Content-Security-Policy`), so that even a mistake here could run nothing.

use askama::Template;
use pawl_replay::Report;

use super::plot::{Plot, WIDTH, plots};
use super::view::{Grid, View};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    view: &'a View,
    plots: Vec<Plot>,
    width: f64,
    build: &'static str,
}

/// The page of a report.
///
/// # Errors
/// If it cannot be formatted.
pub fn page(report: &Report, view: &View) -> anyhow::Result<String> {
    let page = Page { view, plots: plots(report), width: WIDTH, build: env!("CARGO_PKG_VERSION") };
    Ok(page.render()?)
}

impl Grid {
    /// The class of a column.
    fn align(&self, column: &usize) -> &'static str {
        if *column >= self.numbers_from { "number" } else { "" }
    }
}
