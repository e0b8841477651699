//! Exit codes: what a script may rely on.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pawl_engine::port::FeedError;
use pawl_engine::runtime::RunError;
use pawl_engine::snapshot::SnapshotError;
use pawl_journal::log::JournalError;
use pawl_replay::ReplayError;
use pawl_replay::bundle::BundleError;
use pawl_replay::export::ExportError;

/// Stdout could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the output: {0}")]
pub struct OutputError(pub std::io::Error);

/// A file that a command writes could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct FileError {
    path: PathBuf,
    source: std::io::Error,
}

impl FileError {
    /// What makes one of the system's answer about this file.
    pub fn of(path: &Path) -> impl Fn(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path: path.clone(), source }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: yes.
    Yes,
    /// 1: no, a finding.
    Finding,
    /// 2: could not answer.
    Unusable,
    /// 3: stopped by a limit or a failure of the environment.
    Stopped,
    /// 130: ended by a signal, with nothing left behind.
    Interrupted,
    /// 0: the reader of our output went away, as `head` does.
    Quiet,
}

impl Exit {
    /// The exit that an error deserves.
    pub fn of(error: &anyhow::Error) -> Self {
        if let Some(OutputError(source)) = error.downcast_ref() {
            return if source.kind() == std::io::ErrorKind::BrokenPipe { Self::Quiet } else { Self::Stopped };
        }
        for cause in error.chain() {
            if let Some(error) = cause.downcast_ref::<RunError>() {
                return Self::of_run(error);
            }
            if let Some(error) = cause.downcast_ref::<FeedError>() {
                return if error.environment { Self::Unusable } else { Self::Finding };
            }
            if let Some(error) = cause.downcast_ref::<JournalError>() {
                return Self::of_journal(error);
            }
            if cause.is::<FileError>() {
                return Self::Stopped;
            }
            if let Some(BundleError::Io { .. }) = cause.downcast_ref() {
                return Self::Stopped;
            }
            match cause.downcast_ref::<ReplayError>() {
                Some(ReplayError::Stopped) => return Self::Interrupted,
                Some(ReplayError::Journal(error)) => return Self::of_journal(error),
                Some(ReplayError::Snapshot(error)) => return Self::of_snapshot(error),
                Some(ReplayError::Twin(error)) => return Self::of_twin(error),
                Some(ReplayError::Bundle(BundleError::Io { .. })) => return Self::Stopped,
                Some(ReplayError::Export(ExportError::Io { .. } | ExportError::Stopped)) => {
                    return Self::Stopped;
                }
                _ => {}
            }
        }
        Self::Unusable
    }

    fn of_run(error: &RunError) -> Self {
        match error {
            RunError::Journal(error) | RunError::Stopped { source: error, .. } => Self::of_journal(error),
            RunError::Snapshots(error) => Self::of_snapshot(error),
            RunError::Feed(_)
            | RunError::MixedFeeds { .. }
            | RunError::SettingsTooLarge { .. }
            | RunError::NoStart { .. }
            | RunError::SettingsChanged { .. }
            | RunError::VenueDiffers { .. }
            | RunError::Diverged { .. }
            | RunError::Snapshot { .. } => Self::Unusable,
            RunError::Panicked { .. } | RunError::PipelineGone | RunError::Thread { .. } => Self::Stopped,
        }
    }

    /// A journal that cannot be reproduced is what the question was about; to a run it is in the way.
    fn of_twin(error: &RunError) -> Self {
        match error {
            RunError::Diverged { .. } | RunError::VenueDiffers { .. } => Self::Finding,
            _ => Self::of_run(error),
        }
    }

    fn of_snapshot(error: &SnapshotError) -> Self {
        match error {
            SnapshotError::Io { .. } => Self::Stopped,
            SnapshotError::Damaged { .. } | SnapshotError::Newer { .. } => Self::Unusable,
        }
    }

    fn of_journal(error: &JournalError) -> Self {
        match error {
            JournalError::DiskFull { .. } | JournalError::Io { .. } | JournalError::SyncFailed { .. } => {
                Self::Stopped
            }
            _ => Self::Unusable,
        }
    }
}

/// An error and its causes in one line; a cause that the line says already is left out.
pub fn message(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
    }
    line
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Yes | Exit::Quiet => 0,
            Exit::Finding => 1,
            Exit::Unusable => 2,
            Exit::Stopped => 3,
            Exit::Interrupted => 130,
        })
    }
}

#[cfg(test)]
mod tests {
    use pawl_journal::record::Sequence;

    use super::*;

    #[test]
    fn a_disk_that_is_full_or_broken_stops_and_a_directory_that_is_none_cannot_be_used() {
        let full = || JournalError::DiskFull { dir: "J".into(), wanted_bytes: 1 };
        let failed = || JournalError::SyncFailed {
            dir: "J".into(),
            durable: Sequence(7),
            what: "sync: Input/output error".into(),
        };
        let exit = |error: RunError| Exit::of(&anyhow::Error::new(error));
        assert_eq!(exit(full().into()), Exit::Stopped);
        assert_eq!(exit(failed().into()), Exit::Stopped);
        assert_eq!(exit(RunError::Stopped { source: full(), last: Sequence(9) }), Exit::Stopped);
        assert_eq!(exit(JournalError::NoJournal { dir: "J".into() }.into()), Exit::Unusable);
        let said = message(&anyhow::Error::new(RunError::Stopped { source: full(), last: Sequence(9) }));
        assert!(said.starts_with("no room") && said.ends_with("sealed after step 9"), "said once: {said}");
        let said = message(&anyhow::Error::new(RunError::from(failed())));
        assert!(said.contains("steps up to 7 are") && said.contains("Input/output error"), "{said}");
    }
}
