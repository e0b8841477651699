//! Exit codes: what a script may rely on.

use std::process::ExitCode;

use pawl_engine::port::FeedError;
use pawl_engine::runtime::RunError;
use pawl_journal::log::JournalError;
use pawl_replay::ReplayError;

/// Stdout could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the output: {0}")]
pub struct OutputError(pub std::io::Error);

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
                return match error {
                    RunError::Journal(error) => Self::of_journal(error),
                    RunError::Feed(_)
                    | RunError::SettingsTooLarge { .. }
                    | RunError::SettingsChanged { .. }
                    | RunError::VenueDiffers { .. }
                    | RunError::Diverged { .. } => Self::Unusable,
                    RunError::Panicked { .. } | RunError::PipelineGone | RunError::Thread { .. } => {
                        Self::Stopped
                    }
                };
            }
            if let Some(error) = cause.downcast_ref::<FeedError>() {
                return if error.environment { Self::Unusable } else { Self::Finding };
            }
            if let Some(error) = cause.downcast_ref::<JournalError>() {
                return Self::of_journal(error);
            }
            if let Some(ReplayError::Journal(error)) = cause.downcast_ref::<ReplayError>() {
                return Self::of_journal(error);
            }
        }
        Self::Unusable
    }

    fn of_journal(error: &JournalError) -> Self {
        match error {
            JournalError::DiskFull { .. } | JournalError::Io { .. } => Self::Stopped,
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
        })
    }
}
