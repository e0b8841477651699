//! The control client: asks one thing and reads the answer.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{LINE_BYTES_MAX, Reply, Request, socket_path};

/// How long the engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the engine could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no engine is running on {}: start one with `pawl run --journal {}`", directory.display(), directory.display())]
    NotRunning {
        /// The journal's directory.
        directory: PathBuf,
    },
    /// The socket belongs to somebody else.
    #[error("{} may not be spoken to by this user: only the user who runs the engine may", directory.display())]
    NotAllowed {
        /// The journal's directory.
        directory: PathBuf,
    },
    /// It listens, and says nothing.
    #[error(
        "the engine on {} did not answer within {:.0?}: it is stopped, hung or starved; `pawl top {}` shows when it last \
         wrote, and a signal such as SIGCONT lets a stopped one go on",
        directory.display(), waited, directory.display()
    )]
    Silent {
        /// The journal's directory.
        directory: PathBuf,
        /// How long it had.
        waited: Duration,
    },
    /// The connection broke.
    #[error("the engine on {} did not answer: {source}", directory.display())]
    Broken {
        /// The journal's directory.
        directory: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Asks the engine that runs on the journal in `directory`.
///
/// # Errors
/// [`ControlError`] when there is no engine, or it does not answer.
pub fn ask(directory: &Path, request: &Request) -> Result<Reply, ControlError> {
    ask_within(PATIENCE, directory, request)
}

fn ask_within(patience: Duration, directory: &Path, request: &Request) -> Result<Reply, ControlError> {
    let broken = |source: std::io::Error| match source.kind() {
        // What the system says when a time-out of the socket is over.
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            ControlError::Silent { directory: directory.to_owned(), waited: patience }
        }
        _ => ControlError::Broken { directory: directory.to_owned(), source },
    };
    let not_running = || ControlError::NotRunning { directory: directory.to_owned() };
    // Looked at before it is opened: the opening of a fifo waits for its other end.
    if !directory.is_dir() {
        return Err(not_running());
    }
    let (_opened, path) = socket_path(directory).map_err(|_| not_running())?;
    let stream = UnixStream::connect(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => not_running(),
        std::io::ErrorKind::PermissionDenied => ControlError::NotAllowed { directory: directory.to_owned() },
        _ => broken(source),
    })?;
    stream.set_read_timeout(Some(patience)).map_err(broken)?;
    stream.set_write_timeout(Some(patience)).map_err(broken)?;
    let mut line = serde_json::to_string(request).map_err(|error| broken(error.into()))?;
    line.push('\n');
    (&stream).write_all(line.as_bytes()).map_err(broken)?;
    let mut answer = String::new();
    BufReader::new(&stream).take(LINE_BYTES_MAX).read_line(&mut answer).map_err(broken)?;
    serde_json::from_str(&answer).map_err(|error| broken(error.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_engine_that_listens_and_says_nothing_is_told_with_the_time_it_had() {
        let journal = tempfile::tempdir().expect("a directory");
        let _stopped = UnixListener::bind(journal.path().join("ctl.sock")).expect("bound");
        let status = Request { action: "status".to_owned(), limit: None, value: None };
        let patience = Duration::from_millis(30);
        let error = ask_within(patience, journal.path(), &status).expect_err("nobody answers");
        assert!(matches!(error, ControlError::Silent { waited, .. } if waited == patience), "{error}");
        let said = error.to_string();
        assert!(
            said.contains("within 30ms") && said.contains("pawl top") && !said.contains("os error"),
            "{said}"
        );
    }
}
