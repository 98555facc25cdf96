//! The socket of one input.

use flow_wire::bus::BODY_OCTETS_MAX;
use flow_wire::endpoint;

use super::keys::Curve;
use super::link::Link;

/// See `backlog`.
const RECEIVE_MESSAGES: i32 = 0;

/// Messages of ours that wait for a probe: HELLO and ACK say all there is to say each time.
const SEND_MESSAGES: i32 = 64;

/// A probe that went without a word is given up after 5 + 2 x 5 seconds, by TCP: never by ZMTP's heartbeats (see the probe).
const KEEPALIVE_IDLE_SECONDS: i32 = 5;
const KEEPALIVE_INTERVAL_SECONDS: i32 = 5;
const KEEPALIVE_COUNT: i32 = 2;

/// Time that the last ACK gets to be sent.
const LINGER_MILLISECONDS: i32 = 300;

/// What was tried when libzmq refused.
pub(super) type Refused = (&'static str, zmq::Error);

/// Connects (or binds, for `zmq://..c`); libzmq itself reconnects for ever. Subscribed is this topic alone.
pub(super) fn open(
    endpoint: &endpoint::Zmq,
    curve: Option<&Curve>,
    topic: &str,
) -> Result<(zmq::Socket, Link), Refused> {
    let context = zmq::Context::new();
    let socket = context.socket(zmq::XSUB).map_err(|error| ("socket", error))?;
    set(&socket, curve)?;
    let link = Link::new(&context, &socket).map_err(|error| ("monitor", error))?;
    subscribe(&socket, topic, true).map_err(|error| ("subscribe", error))?;
    let transport = endpoint.transport();
    if endpoint.collector_binds {
        socket.bind(&transport).map_err(|error| ("bind", error))?;
    } else {
        socket.connect(&transport).map_err(|error| ("connect", error))?;
    }
    Ok((socket, link))
}

fn set(socket: &zmq::Socket, curve: Option<&Curve>) -> Result<(), Refused> {
    let failed = |doing| move |error| (doing, error);
    socket.set_ipv6(true).map_err(failed("ipv6"))?;
    socket.set_linger(LINGER_MILLISECONDS).map_err(failed("linger"))?;
    socket.set_rcvhwm(RECEIVE_MESSAGES).map_err(failed("receive high-water mark"))?;
    socket.set_sndhwm(SEND_MESSAGES).map_err(failed("send high-water mark"))?;
    socket.set_maxmsgsize(BODY_OCTETS_MAX as i64).map_err(failed("longest message"))?;
    socket.set_tcp_keepalive(1).map_err(failed("keep-alive"))?;
    socket.set_tcp_keepalive_idle(KEEPALIVE_IDLE_SECONDS).map_err(failed("keep-alive"))?;
    socket.set_tcp_keepalive_intvl(KEEPALIVE_INTERVAL_SECONDS).map_err(failed("keep-alive"))?;
    socket.set_tcp_keepalive_cnt(KEEPALIVE_COUNT).map_err(failed("keep-alive"))?;
    curve.map_or(Ok(()), |curve| curve.set(socket)).map_err(failed("encryption"))
}

/// Says what we want to read from now on, or no longer. An XSUB socket says it again to whoever comes later.
pub(super) fn subscribe(socket: &zmq::Socket, topic: &str, wanted: bool) -> Result<(), zmq::Error> {
    socket.send([&[u8::from(wanted)], topic.as_bytes()].concat(), zmq::DONTWAIT)
}
