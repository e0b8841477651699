//! Recovery: brings pipeline, ingress and venue to the state that an existing journal ends in.
//!
//! Every recorded step is run again and compared with the record; a difference refuses to trade. The venue is shown
//! what it was shown before, and its answers are checked against the reports that the journal holds.

use std::path::Path;
use std::sync::atomic::Ordering;

use pawl_journal::log::Reader;
use pawl_journal::record::{
    ExecutionReport, Kind, OrderRequest, RunStarted, Sequence, Step, StepRef, Tick, Time,
};

use super::error::RunError;
use super::ingress::Ingress;
use super::progress::Progress;
use crate::pipeline::Pipeline;
use crate::port::Venue;

/// What was found in the journal.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Restored {
    /// The last step.
    pub(crate) last: Sequence,
    /// Its time.
    pub(crate) time: Time,
    /// Runs before this one.
    pub(crate) runs: u32,
}

/// Runs the journal in `directory` again.
///
/// # Errors
/// [`RunError::SettingsChanged`] if the journal was written with other settings, [`RunError::Diverged`] if this build
/// decides differently from what is recorded, [`RunError::Journal`] if it cannot be read.
pub(crate) fn restore(
    directory: &Path,
    settings: &str,
    pipeline: &mut Pipeline,
    ingress: &mut Ingress,
    venue: &mut dyn Venue,
    progress: &Progress,
) -> Result<Restored, RunError> {
    let mut restored = Restored::default();
    let mut scratch = Step::new();
    let mut reader = Reader::open(directory)?;
    while let Some(frame) = reader.next()? {
        let step = frame.step();
        let started = step.record(Kind::RunStarted);
        // A pruned journal may begin with a later run, which took over what the runs before it left.
        if restored.runs == 0 && (started.is_none() || step.sequence().0 > 1) {
            return Err(RunError::NoStart { sequence: step.sequence() });
        }
        if let Some(record) = started {
            let recorded = record.get::<RunStarted>().map_or("", |started| started.texts(&record).0);
            check_settings(recorded, settings)?;
            restored.runs += 1;
        }
        if let Some(difference) = pipeline.rerun(step, &mut scratch) {
            return Err(RunError::Diverged { sequence: step.sequence(), difference: Box::new(difference) });
        }
        ingress.restore(step);
        restore_venue(step, venue)?;
        restored.last = step.sequence();
        restored.time = step.time();
        progress.restored.store(step.sequence().0, Ordering::Relaxed);
    }
    Ok(restored)
}

fn restore_venue(step: StepRef<'_>, venue: &mut dyn Venue) -> Result<(), RunError> {
    if let Some(report) = step.get::<ExecutionReport>() {
        let answered = venue.poll(step.time());
        if answered.map(|(_, answer)| answer) != Some(*report) {
            return Err(RunError::VenueDiffers { sequence: step.sequence() });
        }
    }
    if let Some(tick) = step.get::<Tick>() {
        venue.on_tick(tick, step.time());
    }
    if step.has_orders() {
        for request in step.all::<OrderRequest>() {
            venue.submit(request, step.time());
        }
    }
    Ok(())
}

fn check_settings(recorded: &str, settings: &str) -> Result<(), RunError> {
    if recorded == settings {
        return Ok(());
    }
    let parse = |text: &str| serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
    let mut keys = Vec::new();
    differing_keys("", &parse(recorded), &parse(settings), &mut keys);
    if keys.is_empty() {
        return Ok(());
    }
    Err(RunError::SettingsChanged { keys: keys.join(", ") })
}

/// Names the keys in which two settings differ.
fn differing_keys(path: &str, left: &serde_json::Value, right: &serde_json::Value, keys: &mut Vec<String>) {
    use serde_json::Value;
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort();
            names.dedup();
            for key in names {
                let missing = &Value::Null;
                differing_keys(
                    &join(key),
                    a.get(key).unwrap_or(missing),
                    b.get(key).unwrap_or(missing),
                    keys,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differing_keys(&format!("{path}[{index}]"), a, b, keys);
            }
        }
        (a, b) if a == b => {}
        (a, b) => keys.push(format!("{path} (journal {a}, now {b})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_settings_are_named_with_both_values() {
        let error = check_settings(r#"{"a":{"b":1,"c":[1,2]},"d":0}"#, r#"{"a":{"b":2,"c":[1,3]},"d":0}"#);
        let message = error.expect_err("they differ").to_string();
        assert!(
            message.contains("a.b (journal 1, now 2)") && message.contains("a.c[1] (journal 2, now 3)"),
            "{message}"
        );
    }
}
