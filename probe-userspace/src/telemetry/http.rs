//! `GET /metrics` and `GET /health`, by one thread: two pages for a scraper and a load balancer need no framework.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::Board;
use super::metrics;

/// Longest request line that is read; scrapers send some twenty octets.
const REQUEST_OCTETS: u64 = 4096;
/// Request and answer together: who is slower does not keep the others waiting.
const PATIENCE: Duration = Duration::from_secs(2);

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until the process ends: it holds nothing that has to be drained.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    board: Board,
}

impl Server {
    /// Binds `address`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// The port is taken, or below 1024 without the right to it.
    pub fn bind(address: SocketAddr, board: Board) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address)?, board })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The kernel's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Starts its thread.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn start(self) -> io::Result<()> {
        std::thread::Builder::new().name("http".into()).spawn(move || self.serve()).map(drop)
    }

    fn serve(self) {
        for connection in self.listener.incoming() {
            // A peer that went away, or no descriptor left: the next one may do better.
            let _ = connection.and_then(|connection| self.answer(connection));
        }
    }

    fn answer(&self, connection: TcpStream) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        let (reader, mut writer) =
            (Limited { stream: &connection, until }, Limited { stream: &connection, until });
        let mut request = BufReader::new(reader.take(REQUEST_OCTETS));
        let mut line = String::new();
        request.read_line(&mut line)?;
        skip_headers(&mut request)?;
        let (status, kind, body) = self.page(&line);
        write!(
            writer,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn page(&self, request: &str) -> (&'static str, &'static str, String) {
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match (method, path, self.board.get()) {
            ("GET", "/health", Some(_)) => ("200 OK", TEXT, "metering\n".into()),
            ("GET", "/health" | "/metrics", None) => ("503 Service Unavailable", TEXT, "starting\n".into()),
            ("GET", "/metrics", Some(message)) => {
                let (residual, spool) = (self.board.residual(), self.board.spool());
                ("200 OK", OPEN_METRICS, metrics::page(&message, residual, spool, self.board.stages()))
            }
            ("GET", _, _) => ("404 Not Found", TEXT, "/metrics and /health are here\n".into()),
            _ => ("405 Method Not Allowed", TEXT, "GET only\n".into()),
        }
    }
}

/// A connection that has until then, however many reads and writes it takes.
struct Limited<'a> {
    stream: &'a TcpStream,
    until: Instant,
}

impl Limited<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        // A time-out of zero would be none at all.
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Limited<'_> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(octets)
    }
}

impl Write for Limited<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Reads up to the empty line: closing with unread octets would reset the connection before the answer is read.
fn skip_headers(request: &mut impl BufRead) -> io::Result<()> {
    let mut line = String::new();
    while request.read_line(&mut line)? > 0 && !line.trim_end().is_empty() {
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow_wire::ledger::Message;

    use super::*;

    fn get(address: SocketAddr, request: &str) -> String {
        let mut connection = TcpStream::connect(address).unwrap();
        write!(connection, "{request} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn health_waits_for_the_first_books_and_other_pages_are_refused() {
        let board = Board::default();
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), board.clone()).unwrap();
        let address = server.address().unwrap();
        server.start().unwrap();
        assert!(get(address, "GET /health").starts_with("HTTP/1.1 503"));
        board.put(
            Arc::new(Message {
                version: 1,
                exporter: String::new(),
                epoch_start_nanoseconds: 0,
                time_nanoseconds: 0,
                active_timeout_seconds: 120,
                queues: vec![],
                workers: vec![],
                cursors: vec![],
                cuts: vec![],
                closed: false,
                ..Message::default()
            }),
            None,
        );
        assert!(get(address, "GET /health").starts_with("HTTP/1.1 200"));
        assert!(get(address, "GET /metrics").ends_with("# EOF\n"));
        assert!(get(address, "GET /secrets").starts_with("HTTP/1.1 404"));
        assert!(get(address, "POST /metrics").starts_with("HTTP/1.1 405"));
    }

    #[test]
    fn a_peer_that_goes_on_octet_by_octet_has_no_more_time_than_any_other() {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), Board::default()).unwrap();
        let address = server.address().unwrap();
        server.start().unwrap();
        let mut slow = TcpStream::connect(address).unwrap();
        slow.write_all(b"GET /health HTTP/1.1\r\n").unwrap();
        slow.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let until = Instant::now() + 5 * PATIENCE;
        // An octet now and then: no single read takes long. The server ends it all the same.
        let is_over = |slow: &mut TcpStream| match slow.read(&mut [0; 64]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        };
        while slow.write_all(b"x").is_ok() && !is_over(&mut slow) {
            assert!(Instant::now() < until, "the slow peer is still served");
        }
        assert!(get(address, "GET /health").starts_with("HTTP/1.1 503"));
    }
}
