//! The twin of a journal's engine, built from what the journal says of itself.

use std::path::Path;

use pawl_adapters::venue::{Paper, PaperSettings};
use pawl_engine::pipeline::Pipeline;
use pawl_engine::runtime::Twin;
use pawl_replay::{ReplayError, RunTold, told};

/// A twin at the beginning of the journal in this directory; models are not run, their predictions are in the journal.
pub fn twin_of(journal: &Path) -> Result<Twin, ReplayError> {
    let RunTold { text, settings: recorded, .. } = told(journal)?;
    let wrong = |message: String| ReplayError::Venue { message };
    let paper = recorded.venue.get("paper").cloned().ok_or_else(|| wrong(recorded.venue.to_string()))?;
    let paper: PaperSettings = serde_json::from_value(paper).map_err(|error| wrong(error.to_string()))?;
    let venue = Paper::new(&paper, &recorded.engine.instruments).map_err(|error| wrong(error.to_string()))?;
    let pipeline = Pipeline::recorded(&recorded.engine)?;
    Ok(Twin::new(&recorded.engine, &text, recorded.feeds.len(), pipeline, Box::new(venue)))
}
