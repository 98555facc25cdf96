//! A probe or a collector, asked over HTTP.

use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use crate::http;

/// Where one of our programs serves its pages: `HOST:PORT`, or `http://HOST:PORT`.
#[derive(Clone, Debug)]
pub struct Server {
    name: String,
    address: SocketAddr,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody there.
    #[error("http://{server}{path}: {source}; is it running with --http {server}?")]
    Away {
        /// Who was asked.
        server: String,
        /// For what.
        path: &'static str,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// Somebody else is there, or it is not ready.
    #[error("http://{server}{path} answers {what}")]
    Answer {
        /// Who was asked.
        server: String,
        /// For what.
        path: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.trim_start_matches("http://").trim_end_matches('/');
        let mut addresses =
            name.to_socket_addrs().map_err(|error| format!("{text}: {error}; give HOST:PORT"))?;
        let address = addresses.next().ok_or_else(|| format!("{text}: the host has no address"))?;
        Ok(Self { name: name.to_owned(), address })
    }
}

impl Server {
    /// The body of a page.
    ///
    /// # Errors
    /// When nobody answers, or not with 200.
    pub(super) fn get(&self, path: &'static str) -> Result<String, Error> {
        let answer = http::request(self.address, "GET", path, "").map_err(|source| Error::Away {
            server: self.name.clone(),
            path,
            source,
        })?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(self.wrong(path, format!("{status}: {}", answer.body.trim()))),
        }
    }

    pub(super) fn wrong(&self, path: &'static str, what: String) -> Error {
        Error::Answer { server: self.name.clone(), path, what }
    }
}
