//! A build as a program of its own: asked with `fingerprint --json`, answering line by line.
//!
//! Invariants: whatever the program is or does, it is answered for with an error that names it; it does not outlive its
//! answer; a line that is too long is not read to its end.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use pawl_journal::record::Sequence;

use super::error::BisectError;
use super::protocol::{Line, PROTOCOL};
use super::{Answer, Build};

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Most that is kept of what a program says on stderr.
const SAID_BYTES_MAX: u64 = 4 * 1024;

/// Most that is shown of a line that cannot be understood.
const SHOWN_CHARS: usize = 80;

/// A build in a file, and the journal that it is asked about.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    journal: PathBuf,
    options: Vec<OsString>,
}

impl Program {
    /// The build in this file, or, if there is none and the name has no folder, the program that the shell would find. It
    /// is asked with these further options of `pawl fingerprint`.
    #[must_use]
    pub fn new(path: &Path, journal: &Path, options: &[OsString]) -> Self {
        // A bare name would be looked for in PATH, and not here.
        let is_bare_file = path.parent() == Some(Path::new("")) && path.is_file();
        let path = if is_bare_file { Path::new(".").join(path) } else { path.to_owned() };
        Self { path, journal: journal.to_owned(), options: options.to_vec() }
    }
}

impl Build for Program {
    fn ask(
        &self,
        from: Sequence,
        until: Sequence,
        every: u64,
        whole: bool,
    ) -> Result<Box<dyn Answer>, BisectError> {
        let mut command = Command::new(&self.path);
        command.arg("fingerprint").arg(&self.journal).arg("--json").args(&self.options);
        for (name, value) in [("--from", from.0), ("--until", until.0), ("--every", every)] {
            command.args([name, &value.to_string()]);
        }
        if whole {
            command.arg("--whole");
        }
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child =
            spawned.map_err(|source| BisectError::Start { program: self.path.clone(), source })?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let said = std::thread::spawn(move || {
            let Some(mut stderr) = stderr else { return String::new() };
            let mut said = Vec::new();
            // What cannot be read was not said.
            let _ = stderr.by_ref().take(SAID_BYTES_MAX).read_to_end(&mut said);
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
            String::from_utf8_lossy(&said).into_owned()
        });
        let running = Running {
            program: self.path.clone(),
            child,
            out: stdout.map(BufReader::new),
            said: Some(said),
            build: None,
            reached: from.0.saturating_sub(1),
        };
        Ok(Box::new(running))
    }
}

/// A program that is answering. Dropped, it is ended.
struct Running {
    program: PathBuf,
    child: Child,
    out: Option<BufReader<ChildStdout>>,
    said: Option<JoinHandle<String>>,
    /// Who it is, once it has told.
    build: Option<Line>,
    reached: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer for Running {
    fn next(&mut self) -> Result<Line, BisectError> {
        let mut bytes = Vec::new();
        let read = self.out.as_mut().map(|out| out.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes));
        if !matches!(read, Some(Ok(_))) || bytes.is_empty() {
            return Err(self.ended());
        }
        let text = String::from_utf8_lossy(&bytes);
        let line = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
        let told = line.filter(|line| line["line"].is_string());
        if self.build.is_none() {
            let speaks = told.as_ref().and_then(|line| line["protocol"].as_u64());
            match speaks {
                None => return Err(self.no_pawl(format!("printed `{}`", shown(&text)))),
                Some(PROTOCOL) => {}
                Some(speaks) => {
                    return Err(BisectError::Protocol { program: self.program.clone(), speaks });
                }
            }
        }
        let line = told.and_then(|line| serde_json::from_value::<Line>(line).ok()).ok_or_else(|| {
            BisectError::Garbled { program: self.program.clone(), line: format!("`{}`", shown(&text)) }
        })?;
        match &line {
            Line::Build { .. } => self.build = Some(line.clone()),
            Line::Fingerprint(it) => self.reached = it.sequence,
            _ => {}
        }
        Ok(line)
    }

    fn garbled(&self, line: &Line) -> BisectError {
        BisectError::Garbled {
            program: self.program.clone(),
            line: format!("{line:?} where it does not belong"),
        }
    }
}

impl Running {
    /// Why there is no further line.
    fn ended(&mut self) -> BisectError {
        self.out = None;
        let status = self.child.wait();
        let said = self.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
        let said = said.trim();
        let program = self.program.clone();
        let message = said.lines().rev().find_map(|line| line.strip_prefix("pawl: "));
        if self.build.is_some() {
            return match message {
                Some(message) => BisectError::Refused { program, message: message.to_owned() },
                None => BisectError::Died { program, sequence: self.reached, how: how(status, said) },
            };
        }
        match message {
            Some(message) => BisectError::Refused { program, message: message.to_owned() },
            None if said.contains("unrecognized subcommand 'fingerprint'") => BisectError::TooOld { program },
            None => self.no_pawl(format!("printed nothing, and {}", how(status, said))),
        }
    }

    fn no_pawl(&self, answer: String) -> BisectError {
        BisectError::NoPawl { program: self.program.clone(), answer }
    }
}

/// How a program ended, and the first line of what it said.
fn how(status: std::io::Result<ExitStatus>, said: &str) -> String {
    let how = match status {
        Ok(status) => format!("ended with {status}"),
        Err(error) => format!("cannot be waited for: {error}"),
    };
    match said.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("{how}: {}", shown(line)),
        None => how,
    }
}

/// The beginning of a line, printable.
fn shown(line: &str) -> String {
    let line = line.trim_end();
    let mut text: String =
        line.chars().take(SHOWN_CHARS).map(|it| if it.is_control() { '?' } else { it }).collect();
    if line.chars().nth(SHOWN_CHARS).is_some() {
        text.push_str(" ..");
    }
    text
}
