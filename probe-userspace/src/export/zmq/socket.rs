//! The publishing socket: how it is made, and what a person hears where it cannot be.

use std::time::Duration;

use flow_wire::curve;
use flow_wire::endpoint;

use super::curve::{Curve, Gate};

/// Messages that the socket holds for each subscriber: half a minute at 10,000 flows a second, at most 90 MB. More than a
/// store has credit for, so that it drops nothing for one.
pub const SEND_QUEUE_MESSAGES: i32 = 512;

/// No bound on what peers said and we have not read yet, on purpose: where libzmq 4.3.4 stops reading from a connection at a
/// bound, and the connection fails with a PING in what is left, it aborts on an assertion (`!_io_error`): any peer could end
/// the probe that way. What peers say is read to its end ten times a second instead, whatever else there is to do.
const RECEIVE_QUEUE_MESSAGES: i32 = 0;

/// Octets of a message that a peer may send here: subscriptions are prefixes of a topic, stores say less. A peer that sends
/// more is disconnected.
const INCOMING_OCTETS_MAX: i64 = 1_024;

/// A peer that went without a word is given up, with what is queued for it, after 5 + 2 x 5 seconds. By TCP, never by
/// ZMTP's heartbeats: libzmq 4.3.4 answers a PING by `out_event` even where the connection has failed while the reader was
/// at its high-water mark, and that is an assertion (`!_io_error`) which would end an older collector.
const KEEPALIVE_IDLE_SECONDS: i32 = 5;
const KEEPALIVE_INTERVAL_SECONDS: i32 = 5;
const KEEPALIVE_COUNT: i32 = 2;

/// Time that the socket gets to send what it holds when it is closed; below `FAREWELL` of the exporter.
const LINGER: Duration = Duration::from_millis(800);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The probe would connect to every address.
    #[error(
        "{0}: '*' is for the side that binds, and with a trailing c that is the collector: name its host"
    )]
    Anywhere(String),
    /// libzmq refused.
    #[error("{name}: {operation} failed: {error}{mend}")]
    Socket {
        /// The endpoint.
        name: String,
        /// What was tried.
        operation: &'static str,
        /// What libzmq said.
        error: ::zmq::Error,
        /// What to do.
        mend: &'static str,
    },
    /// The keys.
    #[error("--zmq-encryption: {0}")]
    Curve(#[from] curve::Error),
}

/// Binds (or, with a trailing `c`, connects) it.
pub(super) fn open(
    endpoint: &endpoint::Zmq,
    name: &str,
    curve: Option<&Curve>,
) -> Result<(::zmq::Socket, Option<Gate>), Error> {
    if endpoint.collector_binds && endpoint.address.host == "*" {
        return Err(Error::Anywhere(name.to_owned()));
    }
    let is_ipv6 = endpoint.address.host.contains(':');
    let made = |error| failed(name, "a socket", error);
    // A context of its own, so that its end waits for nothing but its own queue.
    let context = ::zmq::Context::new();
    let socket = socket(&context, SEND_QUEUE_MESSAGES, is_ipv6).map_err(made)?;
    let gate = curve.map(|curve| {
        curve.set(&socket)?;
        curve.gate(&context)
    });
    let gate = gate.transpose().map_err(|error| failed(name, "encryption", error))?.flatten();
    let transport = endpoint.transport();
    if endpoint.collector_binds {
        socket.connect(&transport).map_err(|error| failed(name, "connecting", error))?;
    } else {
        socket.bind(&transport).map_err(|error| failed(name, "binding", error))?;
    }
    Ok((socket, gate))
}

/// A socket that is neither bound nor connected.
pub(super) fn socket(
    context: &::zmq::Context,
    queue_messages: i32,
    is_ipv6: bool,
) -> Result<::zmq::Socket, ::zmq::Error> {
    let socket = context.socket(::zmq::XPUB)?;
    socket.set_sndhwm(queue_messages)?;
    socket.set_rcvhwm(RECEIVE_QUEUE_MESSAGES)?;
    socket.set_linger(milliseconds(LINGER))?;
    socket.set_maxmsgsize(INCOMING_OCTETS_MAX)?;
    socket.set_tcp_keepalive(1)?;
    socket.set_tcp_keepalive_idle(KEEPALIVE_IDLE_SECONDS)?;
    socket.set_tcp_keepalive_intvl(KEEPALIVE_INTERVAL_SECONDS)?;
    socket.set_tcp_keepalive_cnt(KEEPALIVE_COUNT)?;
    socket.set_ipv6(is_ipv6)?;
    Ok(socket)
}

fn failed(name: &str, operation: &'static str, error: ::zmq::Error) -> Error {
    let mend = match error {
        ::zmq::Error::EADDRINUSE => ": another process has this port; end it, or choose another port",
        ::zmq::Error::EADDRNOTAVAIL | ::zmq::Error::ENODEV => {
            ": this host has no such address; zmq://*:PORT binds all it has"
        }
        ::zmq::Error::EACCES => ": ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    };
    Error::Socket { name: name.to_owned(), operation, error, mend }
}

pub(super) fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
