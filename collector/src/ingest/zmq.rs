//! ZMQ: a SUB socket on the probe's XPUB. What a message has: topic, header frame, body.
//!
//! Nothing is sent twice here: a gap in the sequences is a loss, and the ledger counts it.

use flow_wire::bus::{BODY_OCTETS_MAX, Kind};
use flow_wire::endpoint::{self, Endpoint};
use flow_wire::header::Header;

use super::input::{Error, Feed, Input, Stop};
use super::message::{Arrived, read};
use super::status::InputState;
use crate::store::Bus;

/// Messages that libzmq keeps for us: two seconds of the fastest probe, below 500 MB at their usual size.
const RECEIVE_MESSAGES: i32 = 2_000;

/// How long a receive waits before it looks whether to stop.
const POLL_MILLISECONDS: i32 = 200;

/// Topic, header, body.
const FRAMES: usize = 3;

/// One publisher.
pub struct Zmq {
    endpoint: endpoint::Zmq,
    name: String,
    prefix: String,
}

impl Zmq {
    /// Inert until run.
    pub fn new(endpoint: endpoint::Zmq, prefix: &str) -> Self {
        let name = Endpoint::Zmq(endpoint.clone()).to_string();
        Self { endpoint, name, prefix: prefix.to_owned() }
    }

    /// Connects (or binds, for `zmq://..c`); libzmq itself reconnects for ever.
    fn open(&self) -> Result<zmq::Socket, Error> {
        let failed = |doing| {
            let endpoint = self.name.clone();
            move |cause| Error::Zmq { endpoint, doing, cause }
        };
        let socket = zmq::Context::new().socket(zmq::SUB).map_err(failed("socket"))?;
        socket.set_ipv6(true).map_err(failed("ipv6"))?;
        socket.set_linger(0).map_err(failed("linger"))?;
        socket.set_rcvhwm(RECEIVE_MESSAGES).map_err(failed("receive high-water mark"))?;
        socket.set_maxmsgsize(BODY_OCTETS_MAX as i64).map_err(failed("longest message"))?;
        socket.set_rcvtimeo(POLL_MILLISECONDS).map_err(failed("receive time-out"))?;
        socket.set_tcp_keepalive(1).map_err(failed("keep-alive"))?;
        for kind in Kind::ALL {
            socket.set_subscribe(kind.topic(&self.prefix).as_bytes()).map_err(failed("subscribe"))?;
        }
        let transport = self.endpoint.transport();
        if self.endpoint.collector_binds {
            socket.bind(&transport).map_err(failed("bind"))?;
        } else {
            socket.connect(&transport).map_err(failed("connect"))?;
        }
        Ok(socket)
    }

    /// One message, or `None` where there was none for a while.
    fn receive(&self, socket: &zmq::Socket) -> Result<Option<Arrived>, Error> {
        let failed = |cause| Error::Zmq { endpoint: self.name.clone(), doing: "receive", cause };
        let mut frames: Vec<zmq::Message> = Vec::with_capacity(FRAMES);
        let mut count = 0;
        loop {
            match socket.recv_msg(0) {
                Ok(frame) => {
                    count += 1;
                    let more = frame.get_more();
                    // Of a message with too many frames the first few are enough to refuse it.
                    if frames.len() <= FRAMES {
                        frames.push(frame);
                    }
                    if !more {
                        return Ok(Some(self.read(&frames, count)));
                    }
                }
                Err(zmq::Error::EAGAIN | zmq::Error::EINTR) if frames.is_empty() => return Ok(None),
                // All frames of a message arrive together; an interrupted call is repeated.
                Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => {}
                Err(cause) => return Err(failed(cause)),
            }
        }
    }

    fn read(&self, frames: &[zmq::Message], count: usize) -> Arrived {
        match frames {
            [_, header, body] if count == FRAMES => {
                read(Bus::Zmq, &self.name, Header::from_frame(header, body), body)
            }
            _ => {
                let whole: Vec<u8> = frames.iter().flat_map(|frame| frame.iter().copied()).collect();
                let refused =
                    Err(flow_wire::header::Error::FrameLength(frames.get(1).map_or(0, |frame| frame.len())));
                read(Bus::Zmq, &self.name, refused, &whole)
            }
        }
    }
}

impl Input for Zmq {
    fn run(self: Box<Self>, feed: Feed, stop: Stop) -> Result<(), Error> {
        let socket = self.open()?;
        let side = if self.endpoint.collector_binds {
            "bound, waiting for a probe"
        } else {
            "waiting for the probe"
        };
        feed.status.set(InputState::Waiting, side);
        while !stop.is_set() {
            if let Some(arrived) = self.receive(&socket)? {
                feed.status.set(InputState::Running, "receiving");
                if feed.message(arrived).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }
}
