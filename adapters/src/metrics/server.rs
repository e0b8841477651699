//! The metrics server: one cold thread that waits for all of its clients at once. The only file that names `httparse`.
//!
//! ```text
//!            .--> listener  a new client; the oldest one goes where there are too many
//!  poll(2) --+--> client    reads > is answered > writes > closed, as far as it goes without a wait
//!            '--> deadline  closed
//! ```
//!
//! Invariants: whoever connects gets at most [`PATIENCE`] to ask and [`PATIENCE`] to take the answer, and at most
//! [`CLIENTS_MAX`] are connected, so clients take neither memory nor file descriptors from the engine, however many and
//! however slow they are; who asks at once is answered at once, however many say nothing.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pawl_engine::runtime::Progress;
use pawl_engine::runtime::counters::catalogue::LabelNames;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::exposition;

/// How long a client may take to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Most clients at once: one more takes the place of the one that came first.
const CLIENTS_MAX: usize = 16;

/// Most bytes and headers of a request.
const REQUEST_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;

/// Why there are no metrics over HTTP.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// It is no address.
    #[error(
        "metrics.listen = {listen:?} is no IP address with a port: write one such as \"127.0.0.1:9464\", or \"\" for none"
    )]
    Address {
        /// What was given.
        listen: String,
    },
    /// Nobody can listen there.
    #[error("metrics.listen = {listen:?}: cannot listen there ({source}): {}", way_out(source.kind()))]
    Listen {
        /// What was given.
        listen: String,
        /// What the system said.
        source: std::io::Error,
    },
}

const fn way_out(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => "ports below 1024 are for root: choose one from 1024 on",
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address: take one that it has, or 127.0.0.1, or 0.0.0.0 for all of them"
        }
        _ => "free the port, or choose another one",
    }
}

/// What is told over HTTP.
pub struct Metrics {
    /// The run that counts.
    pub progress: Arc<Progress>,
    /// What its instruments and agents are called.
    pub names: LabelNames,
}

/// A running metrics server. Dropping it ends the thread.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Listens at an address with a port, of which 0 is any that is free.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn start(listen: &str, metrics: Metrics) -> Result<Self, MetricsError> {
        let failed = |source| MetricsError::Listen { listen: listen.to_owned(), source };
        let listener = bind(listen)?;
        let address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let serve_all = move || serve(&listener, &metrics, &flag);
        let thread =
            std::thread::Builder::new().name("pawl-metrics".to_owned()).spawn(serve_all).map_err(failed)?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Whether it could listen there now: it does for a moment.
    ///
    /// # Errors
    /// [`MetricsError`], as [`Self::start`] would say it.
    pub fn check(listen: &str) -> Result<(), MetricsError> {
        bind(listen).map(drop)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread from its wait.
        let woken = TcpStream::connect_timeout(&self.address, PATIENCE).is_ok();
        if let Some(thread) = self.thread.take()
            && woken
        {
            let _ = thread.join();
        }
    }
}

/// What is answered: a status, a type of content, and a body.
type Answer = (&'static str, &'static str, String);

const TEXT: &str = "text/plain; charset=utf-8";

fn bind(listen: &str) -> Result<TcpListener, MetricsError> {
    let address: SocketAddr =
        listen.parse().map_err(|_| MetricsError::Address { listen: listen.to_owned() })?;
    TcpListener::bind(address).map_err(|source| MetricsError::Listen { listen: listen.to_owned(), source })
}

/// Serves everybody until told to stop, which a connection wakes it for.
fn serve(listener: &TcpListener, metrics: &Metrics, stop: &AtomicBool) {
    let mut clients: VecDeque<Client> = VecDeque::with_capacity(CLIENTS_MAX);
    while !stop.load(Ordering::Acquire) {
        wait(listener, &clients);
        let now = Instant::now();
        // Whoever is not ready costs a system call; a client that breaks off concerns nobody else.
        clients.retain_mut(|client| client.deadline > now && matches!(client.go_on(metrics), Ok(true)));
        match listener.accept() {
            Ok((stream, _)) if stream.set_nonblocking(true).is_ok() => {
                if clients.len() == CLIENTS_MAX {
                    clients.pop_front();
                }
                clients.push_back(Client::new(stream));
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // Out of file descriptors, mostly: the engine needs them more.
            Err(_) => {
                clients.clear();
                std::thread::sleep(PATIENCE);
            }
        }
    }
}

/// Waits until somebody connects, a client can go on, or one has had its time.
fn wait(listener: &TcpListener, clients: &VecDeque<Client>) {
    let mut sockets = Vec::with_capacity(1 + CLIENTS_MAX);
    sockets.push(PollFd::new(listener, PollFlags::IN));
    sockets.extend(clients.iter().map(|client| PollFd::new(&client.stream, client.waits_for())));
    let now = Instant::now();
    let left = clients.iter().map(|client| client.deadline.saturating_duration_since(now)).min();
    let left = left.map(|left| Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) });
    // It fails by a signal at most: then everybody is looked at once more.
    let _ = poll(&mut sockets, left.as_ref());
}

/// Somebody who is connected.
struct Client {
    stream: TcpStream,
    deadline: Instant,
    request: Vec<u8>,
    /// The answer; empty until all of the request is there.
    response: Vec<u8>,
    written: usize,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        let deadline = Instant::now() + PATIENCE;
        Self { stream, deadline, request: Vec::new(), response: Vec::new(), written: 0 }
    }

    fn waits_for(&self) -> PollFlags {
        if self.response.is_empty() { PollFlags::IN } else { PollFlags::OUT }
    }

    /// Goes on as far as it can without a wait; whether there is more to do.
    fn go_on(&mut self, metrics: &Metrics) -> std::io::Result<bool> {
        if self.response.is_empty() {
            if !self.is_asked()? {
                return Ok(true);
            }
            self.response = response(&self.request, metrics);
            self.deadline = Instant::now() + PATIENCE;
        }
        while self.written < self.response.len() {
            match self.stream.write(&self.response[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.stream.shutdown(Shutdown::Write)?;
        Ok(false)
    }

    /// Reads what is there of a request's head; whether that is all that will be looked at.
    fn is_asked(&mut self) -> std::io::Result<bool> {
        let mut chunk = [0; 1024];
        while !self.request.windows(4).any(|end| end == b"\r\n\r\n") && self.request.len() < REQUEST_BYTES_MAX
        {
            match self.stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => self.request.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The whole response to a request.
fn response(request: &[u8], metrics: &Metrics) -> Vec<u8> {
    let (is_head, (status, content, body)) = answer(request, metrics);
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n",
        body.len()
    );
    if !is_head {
        response.push_str(&body);
    }
    response.into_bytes()
}

/// Whether only the head is wanted, and the answer to a request.
fn answer(request: &[u8], metrics: &Metrics) -> (bool, Answer) {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let plain = |status, body: &str| (status, TEXT, body.to_owned());
    if !matches!(parsed.parse(request), Ok(httparse::Status::Complete(_))) {
        return (false, plain("400 Bad Request", "this is no HTTP request\n"));
    }
    let method = parsed.method.unwrap_or("");
    let path = parsed.path.unwrap_or("");
    let answer = match (method, path.split('?').next().unwrap_or("")) {
        ("GET" | "HEAD", "/metrics") => {
            let values = metrics.progress.counters().map(|counters| counters.values());
            let text = values.map(|values| exposition(&values, &metrics.names)).unwrap_or_default();
            ("200 OK", "text/plain; version=0.0.4; charset=utf-8", text)
        }
        ("GET" | "HEAD", "/healthz") => {
            match metrics.progress.watermarks().and_then(|watermarks| watermarks.failure()) {
                None => plain("200 OK", "ok\n"),
                Some(what) => {
                    let told = format!("nothing becomes durable any more: {what}\n");
                    ("503 Service Unavailable", TEXT, told)
                }
            }
        }
        (_, "/metrics" | "/healthz") => plain("405 Method Not Allowed", "only GET\n"),
        _ => plain("404 Not Found", "there are /metrics and /healthz\n"),
    };
    (method == "HEAD", answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> MetricsServer {
        let metrics = Metrics { progress: Arc::new(Progress::counted()), names: LabelNames::default() };
        MetricsServer::start("127.0.0.1:0", metrics).expect("a free port")
    }

    fn ask(server: &MetricsServer, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    }

    #[test]
    fn there_are_two_paths_and_everything_else_is_refused_by_its_number() {
        let server = started();
        for (request, status, body) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200", "\npawl_steps_total 0\n"),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", "200", "\npawl_steps_total 0\n"),
            ("GET /healthz HTTP/1.1\r\n\r\n", "200", "\r\n\r\nok\n"),
            ("GET / HTTP/1.1\r\n\r\n", "404", "/healthz"),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", "404", "/metrics"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405", "Allow: GET, HEAD"),
            ("gibberish\r\n\r\n", "400", "no HTTP"),
        ] {
            let answer = ask(&server, request);
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(body),
                "{request}: {answer}"
            );
        }
        let head = ask(&server, "HEAD /metrics HTTP/1.1\r\n\r\n");
        assert!(head.ends_with("\r\n\r\n") && !head.contains("Content-Length: 0"), "{head}");
    }

    #[test]
    fn clients_that_say_nothing_take_nothing_or_drip_keep_nobody_waiting() {
        let server = started();
        let connected = || TcpStream::connect(server.address()).expect("it listens");
        for _ in 0..2 {
            // More than there may be at once; each of them would have half a second.
            let idle: Vec<_> = (0..4 * CLIENTS_MAX).map(|_| connected()).collect();
            let mut greedy = connected();
            greedy.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").expect("sent");
            let mut dripping = connected();
            dripping.write_all(b"GET /met").expect("sent");
            assert!(ask(&server, "GET /healthz HTTP/1.1\r\n\r\n").ends_with("ok\n"));
            // The first to come were the first to go, and one that was still asking was not among them.
            let mut first = &idle[0];
            assert_eq!(first.read(&mut [0; 8]).expect("closed"), 0);
            if dripping.write_all(b"rics HTTP/1.1\r\n\r\n").is_ok() {
                let mut answer = String::new();
                // A machine that was busy for half a second has closed it.
                let _ = dripping.read_to_string(&mut answer);
                assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 200 "), "{answer}");
            }
        }
    }

    #[test]
    fn a_client_has_its_time_and_is_closed_then() {
        let server = started();
        let before = Instant::now();
        let mut silent = TcpStream::connect(server.address()).expect("it listens");
        assert_eq!(silent.read(&mut [0; 8]).expect("closed"), 0);
        assert!(before.elapsed() >= PATIENCE, "not at once");
    }

    #[test]
    fn a_port_in_use_and_what_is_no_address_are_named() {
        let server = started();
        let again = |listen: &str| {
            let metrics = Metrics { progress: Arc::new(Progress::counted()), names: LabelNames::default() };
            MetricsServer::start(listen, metrics).expect_err("refused").to_string()
        };
        let taken = server.address().to_string();
        let told = again(&taken);
        assert!(
            told.contains("metrics.listen") && told.contains(&taken) && told.contains("in use"),
            "{told}"
        );
        for nonsense in ["9464", "localhost", "localhost:9467", "127.0.0.1:99999"] {
            assert!(again(nonsense).contains("no IP address with a port"), "{nonsense}");
            assert!(MetricsServer::check(nonsense).is_err(), "{nonsense}");
        }
        // Set aside for documentation (RFC 5737): no machine has it.
        assert!(again("192.0.2.1:9464").contains("no such address"), "{}", again("192.0.2.1:9464"));
        assert!(MetricsServer::check(&taken).is_err() && MetricsServer::check("127.0.0.1:0").is_ok());
    }
}
