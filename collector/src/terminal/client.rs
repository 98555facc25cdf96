//! One question over HTTP. HTTP/1.0, so that the answer ends with the connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::Error;
use crate::config;
use crate::query::BadParameter;

/// To connect: the collector is near.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// To answer: longer than the collector lets a query run.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The longest answer that is read: 10,000 flows have about 8 MB.
const ANSWER_OCTETS_MAX: u64 = 256 * 1024 * 1024;

/// The body of a 200.
pub(super) fn get(address: &str, path: &str, pairs: &[(String, String)]) -> Result<String, Error> {
    let socket = config::address(address)?;
    let answer = exchange(socket, path, pairs)
        .map_err(|source| Error::Silent { address: address.to_owned(), source })?;
    let foreign = |what: &str| Error::Foreign { address: address.to_owned(), what: what.to_owned() };
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| foreign("no HTTP"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
    match status {
        Some(200) => Ok(body.to_owned()),
        Some(400) => match refusal(body) {
            Some(bad) => Err(Error::Bad(bad)),
            None => Err(foreign(body)),
        },
        Some(500) => Err(Error::Failed(refusal(body).map_or_else(|| body.to_owned(), |bad| bad.error))),
        _ => Err(foreign(head.lines().next().unwrap_or_default())),
    }
}

fn exchange(socket: SocketAddr, path: &str, pairs: &[(String, String)]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&socket, CONNECT_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(CONNECT_MAX))?;
    let query = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    let query = query.collect::<Vec<_>>().join("&");
    write!(stream, "GET {path}?{query} HTTP/1.0\r\nHost: {socket}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_OCTETS_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// RFC 3986: everything but the unreserved characters.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn refusal(body: &str) -> Option<BadParameter> {
    serde_json::from_str(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_url() {
        assert_eq!(encoded("src=10.0.0.0/8 a&b%é"), "src%3D10.0.0.0%2F8%20a%26b%25%C3%A9");
    }
}
