//! The control server: one cold thread that turns requests into commands for ingress.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use pawl_engine::risk::limit_problem;
use pawl_engine::runtime::{CommandRequest, Progress};
use pawl_journal::record::{Command, CommandAction, LimitName};

use super::protocol::{LINE_BYTES_MAX, Reply, Request, SOCKET, socket_path};

/// How long a client may take to send its line: it holds up everybody behind it.
const LINE_PATIENCE: Duration = Duration::from_millis(500);

/// How long the engine may take to journal a command.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running control server. Dropping it ends the thread and removes the socket.
#[derive(Debug)]
pub struct Server {
    stop: Arc<AtomicBool>,
    path: PathBuf,
    directory: File,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens in the journal's directory. The caller holds the journal's lock, so a socket that is already there
    /// was left by an engine that died, and is replaced.
    ///
    /// # Errors
    /// What the system says when the socket cannot be made.
    pub fn start(
        directory: &Path,
        commands: Sender<CommandRequest>,
        progress: Arc<Progress>,
    ) -> std::io::Result<Self> {
        let (opened, path) = socket_path(directory)?;
        match std::fs::remove_file(directory.join(SOCKET)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("pawl-control".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                if flag.load(Ordering::Acquire) {
                    break;
                }
                // A client that breaks off concerns nobody else.
                if let Ok(stream) = stream {
                    let _ = serve(&stream, &commands, &progress);
                }
            }
        })?;
        Ok(Self { stop, path, directory: opened, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread from its wait.
        let woken = UnixStream::connect(&self.path).is_ok();
        if let Some(thread) = self.thread.take()
            && woken
        {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
        let _ = self.directory.sync_all();
    }
}

fn serve(stream: &UnixStream, commands: &Sender<CommandRequest>, progress: &Progress) -> std::io::Result<()> {
    stream.set_write_timeout(Some(LINE_PATIENCE))?;
    let line = read_line(stream)?;
    let reply = match serde_json::from_slice(&line) {
        Ok(request) => answer(&request, commands, progress),
        Err(error) => Reply::Refused { message: format!("the request is not valid: {error}") },
    };
    let mut text = serde_json::to_string(&reply)?;
    text.push('\n');
    let mut stream = stream;
    stream.write_all(text.as_bytes())
}

/// Reads one line, in all within [`LINE_PATIENCE`], however slowly it drips.
fn read_line(mut stream: &UnixStream) -> std::io::Result<Vec<u8>> {
    let deadline = Instant::now() + LINE_PATIENCE;
    let mut line = Vec::new();
    let mut chunk = [0; 512];
    while !line.contains(&b'\n') && line.len() < LINE_BYTES_MAX as usize {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => break,
            count => line.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(line)
}

fn answer(request: &Request, commands: &Sender<CommandRequest>, progress: &Progress) -> Reply {
    if request.action == "status" {
        let status = progress.status();
        return Reply::Status {
            mode: status.mode.to_string(),
            sequence: status.sequence.0,
            time: status.time.0,
            ticks: status.ticks,
            share: status.share,
        };
    }
    let command = match command(request) {
        Ok(command) => command,
        Err(message) => return Reply::Refused { message },
    };
    let (sender, receiver) = bounded(1);
    if commands.try_send(CommandRequest { command, answer: sender }).is_err() {
        return Reply::Refused {
            message: "the engine has too many commands waiting, or is ending: try again".to_owned(),
        };
    }
    match receiver.recv_timeout(PATIENCE) {
        Ok(answer) => Reply::Done { sequence: answer.sequence.0, mode: answer.mode.to_string() },
        Err(_) => Reply::Refused {
            message: "the engine did not confirm the command in time; ask for its status before asking again"
                .to_owned(),
        },
    }
}

fn command(request: &Request) -> Result<Command, String> {
    let action = CommandAction::from_name(&request.action).ok_or_else(|| {
        let known: Vec<_> = CommandAction::ALL.iter().filter_map(|action| action.name()).collect();
        format!("`{}` is no action; there are {} and status", request.action, known.join(", "))
    })?;
    let mut command = Command { action, ..Command::default() };
    if action == CommandAction::LIMIT {
        let name = request.limit.as_deref().unwrap_or("");
        command.limit =
            LimitName::from_name(name).filter(|limit| *limit != LimitName::NONE).ok_or_else(|| {
                let known: Vec<_> = LimitName::ALL[1..].iter().filter_map(|limit| limit.name()).collect();
                format!("`{name}` is no limit; there are {}", known.join(", "))
            })?;
        command.value = request.value.ok_or("a limit needs a value")?;
        if let Some(problem) = limit_problem(command.limit, command.value) {
            return Err(format!("{name} = {} is out of range: {problem}", command.value));
        }
    }
    Ok(command)
}
