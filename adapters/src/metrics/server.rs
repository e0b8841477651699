//! The metrics server: one cold thread that answers one request at a time. The only file that names `httparse`.
//!
//! Invariants: whoever connects gets at most [`PATIENCE`] to ask and [`PATIENCE`] to take the answer, and at most one
//! connection is open, so clients take neither memory nor file descriptors from the engine, however many and however
//! slow they are.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pawl_engine::runtime::Progress;
use pawl_engine::runtime::counters::catalogue::LabelNames;

use super::exposition;

/// How long a client may take to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Most bytes and headers of a request.
const REQUEST_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;

/// Why there are no metrics over HTTP.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// It is no address.
    #[error(
        "metrics.listen = {listen:?} is no address with a port: write one such as \"127.0.0.1:9464\", or \"\" for none"
    )]
    Address {
        /// What was given.
        listen: String,
    },
    /// Nobody can listen there.
    #[error(
        "metrics.listen = {listen:?}: cannot listen there ({source}): free the port, or choose another one"
    )]
    Listen {
        /// What was given.
        listen: String,
        /// What the system said.
        source: std::io::Error,
    },
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
        let address: SocketAddr =
            listen.parse().map_err(|_| MetricsError::Address { listen: listen.to_owned() })?;
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let serve_all = move || {
            for stream in listener.incoming() {
                if flag.load(Ordering::Acquire) {
                    break;
                }
                match stream {
                    // A client that breaks off concerns nobody else.
                    Ok(stream) => drop(serve(&stream, &metrics)),
                    // Out of file descriptors, mostly: the engine needs them more.
                    Err(_) => std::thread::sleep(PATIENCE),
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("pawl-metrics".to_owned()).spawn(serve_all).map_err(failed)?;
        Ok(Self { address, stop, thread: Some(thread) })
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

fn serve(stream: &TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    let (is_head, (status, content, body)) = answer(&read_request(stream)?, metrics);
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content}\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n",
        body.len()
    );
    if !is_head {
        response.push_str(&body);
    }
    write_all(stream, response.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)
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

/// Reads the head of a request, in all within [`PATIENCE`], however slowly it drips.
fn read_request(mut stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut chunk)? {
            0 => break,
            count => request.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(request)
}

/// Writes all of an answer within [`PATIENCE`], however slowly it is taken.
fn write_all(mut stream: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        let count = stream.write(bytes)?;
        if count == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[count..];
    }
    Ok(())
}

fn left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(left) }
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
    fn a_client_that_says_nothing_and_one_that_takes_nothing_keep_nobody_else_waiting_for_ever() {
        let server = started();
        let silent = TcpStream::connect(server.address()).expect("it listens");
        let mut greedy = TcpStream::connect(server.address()).expect("it listens");
        greedy.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").expect("sent");
        assert!(ask(&server, "GET /healthz HTTP/1.1\r\n\r\n").ends_with("ok\n"));
        drop((silent, greedy));
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
        for nonsense in ["9464", "localhost", "127.0.0.1:99999"] {
            assert!(again(nonsense).contains("no address with a port"), "{nonsense}");
        }
    }
}
