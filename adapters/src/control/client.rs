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
    let broken = |source| ControlError::Broken { directory: directory.to_owned(), source };
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
    stream.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
    let mut line = serde_json::to_string(request).map_err(|error| broken(error.into()))?;
    line.push('\n');
    (&stream).write_all(line.as_bytes()).map_err(broken)?;
    let mut answer = String::new();
    BufReader::new(&stream).take(LINE_BYTES_MAX).read_line(&mut answer).map_err(broken)?;
    serde_json::from_str(&answer).map_err(|error| broken(error.into()))
}
