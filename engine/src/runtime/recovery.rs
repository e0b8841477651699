//! Recovery: brings a twin to the end of an existing journal.
//!
//! ```text
//!  newest verified snapshot of this build, or the beginning > every step behind it, run again and compared
//! ```
//!
//! A difference refuses to trade. A snapshot only saves time: whatever speaks against one, an older one is taken.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;

use pawl_journal::log::Reader;
use pawl_journal::record::Sequence;

use super::error::RunError;
use super::progress::Progress;
use super::twin::Twin;
use crate::differing::differing_keys;
use crate::snapshot::Snapshots;

/// Brings `twin`, which is at its beginning, to the end of the journal in `directory`. Returns the last step of the
/// snapshot that it began at; 0 for the beginning.
///
/// # Errors
/// [`RunError::SettingsChanged`] if the journal was written with other settings, [`RunError::Diverged`] if this build
/// decides differently from what is recorded, [`RunError::NoStart`] if its beginning is gone and no snapshot stands in
/// for it, [`RunError::Journal`] or [`RunError::Snapshots`] if it cannot be read.
pub(crate) fn restore(
    directory: &Path,
    build_hash: u64,
    twin: &mut Twin,
    progress: &Progress,
) -> Result<Sequence, RunError> {
    let mut reader = Reader::open(directory)?;
    let last = reader.last_sequence()?;
    let snapshot = Snapshots::of(directory).newest(reader.journal_id(), build_hash, last, |_, _| {})?;
    twin.follow_to(&mut reader, snapshot.as_ref(), Sequence(u64::MAX), |reached| {
        progress.restored.store(reached.0, Ordering::Relaxed);
        ControlFlow::Continue(())
    })?;
    Ok(Sequence(snapshot.map_or(0, |it| it.sequence)))
}

/// Refuses settings that are not those recorded, and names the keys.
///
/// # Errors
/// [`RunError::SettingsChanged`].
pub(super) fn check_settings(recorded: &str, settings: &str) -> Result<(), RunError> {
    if recorded == settings {
        return Ok(());
    }
    let parse = |text: &str| serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
    let keys: Vec<_> = differing_keys(&parse(recorded), &parse(settings))
        .into_iter()
        .map(|it| format!("{} (journal {}, now {})", it.key, it.left, it.right))
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    Err(RunError::SettingsChanged { keys: keys.join(", ") })
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
