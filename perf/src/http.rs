//! One HTTP/1.1 request over one connection: enough for a WebDriver and for our own servers on loopback.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A browser on a loaded machine takes seconds for its first page.
const PATIENCE: Duration = Duration::from_secs(60);
/// No answer that a test reads is larger: a screenshot of a long page is a few megabytes.
const LARGEST_ANSWER_BYTES: u64 = 64 << 20;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body; a server on loopback that sends anything but UTF-8 is broken.
    pub body: String,
}

/// Asks, and reads the whole answer.
///
/// # Errors
/// When nobody listens, the connection breaks, or what comes is no HTTP.
pub fn request(server: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    stream.write_all(
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    )?;
    read(stream)
}

fn read(stream: TcpStream) -> io::Result<Answer> {
    let mut stream = stream.take(LARGEST_ANSWER_BYTES);
    let mut bytes = Vec::new();
    let mut chunk = [0; 65_536];
    loop {
        if let Some(answer) = parse(&bytes)? {
            return Ok(answer);
        }
        match stream.read(&mut chunk)? {
            0 => return Err(broken("the connection ended within the answer")),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// The answer, once all of it is there.
fn parse(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let (Some(status), Some(length)) = (status, length) else {
        return Err(broken("the answer has no status or no content-length"));
    };
    let body = &bytes[end + 4..];
    if body.len() < length {
        return Ok(None);
    }
    let body = std::str::from_utf8(&body[..length]).map_err(|_| broken("the answer is not UTF-8"))?;
    Ok(Some(Answer { status, body: body.to_owned() }))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_once_its_length_is_there() {
        let bytes = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(parse(&bytes[..bytes.len() - 1]).unwrap(), None);
        assert_eq!(parse(bytes).unwrap(), Some(Answer { status: 404, body: "hello".to_owned() }));
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
