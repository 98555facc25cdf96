//! A publisher as a probe is one: XPUB, three frames a message.
#![allow(dead_code, reason = "each test uses its part of it")]

use collector::testing::{message, record, sealed, stamp};
use flow_wire::batch::Sealed;
use flow_wire::ledger::Amount;
use flow_wire::stamp::StreamId;

use super::collector::free_port;

/// What a probe binds.
pub(crate) struct Publisher {
    pub(crate) socket: zmq::Socket,
    pub(crate) url: String,
}

impl Publisher {
    pub(crate) fn bind() -> Self {
        let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
        socket.set_linger(0).unwrap();
        let port = free_port();
        socket.bind(&format!("tcp://127.0.0.1:{port}")).unwrap();
        Self { socket, url: format!("zmq://127.0.0.1:{port}") }
    }

    /// For a collector that binds.
    pub(crate) fn connect(port: u16) -> Self {
        let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
        socket.set_linger(0).unwrap();
        let url = format!("tcp://127.0.0.1:{port}");
        socket.connect(&url).unwrap();
        Self { socket, url }
    }

    /// A collector says what it wants when it has connected, and that it would acknowledge; where nobody answers to that it
    /// subscribes as anybody does. Nothing is lost from then on.
    pub(crate) fn wait_for_subscriber(&self) {
        let mut wanted = vec![b"\x01gannet.flow".to_vec(), b"\x01gannet.ledger".to_vec()];
        while !wanted.is_empty() {
            let said = self.socket.recv_bytes(0).unwrap();
            wanted.retain(|topic| *topic != said);
        }
    }

    pub(crate) fn send(&self, sealed: &Sealed) {
        let topic = sealed.header.kind.topic("gannet");
        let header = sealed.header.to_frame(sealed.body.len() as u32);
        self.socket.send_multipart([topic.as_bytes(), &header, &sealed.body], 0).unwrap();
    }

    /// As the sink with this number does.
    pub(crate) fn send_as(&self, sink: u16, sealed: &Sealed) {
        self.send(&Sealed { header: sealed.header.sent_by(sink), ..sealed.clone() });
    }

    /// The control message: so many records below the cut of stream 0.
    pub(crate) fn cut(&self, sequence: u64, next: u64, sealed: &[&Sealed], closed: bool) {
        let add = |sum: Amount, one: &&Sealed| sum + one.exported;
        let exported = sealed.iter().fold(Amount::ZERO, add);
        let records = sealed.iter().map(|one| u64::from(one.header.rows)).sum();
        let said = message(&[(0, next, records, exported)], closed);
        self.send(&Sealed::ledger(&said, stamp(StreamId::CONTROL.0, sequence)).unwrap());
    }
}

/// Ten records.
pub(crate) fn batch(sequence: u64) -> Sealed {
    let records: Vec<_> = (0..10).map(|row| record(sequence * 10 + row)).collect();
    sealed(stamp(0, sequence), &records)
}
