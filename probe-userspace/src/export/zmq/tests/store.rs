//! The other side of a store, as FORMAT.md has it.

use flow_wire::header::Header;
use flow_wire::upstream::{Ack, Answer, CREDIT_MAX, Delivery, Downstream, Hello, private_topic};
use uuid::Uuid;

use super::PATIENCE_MS;

/// An XSUB socket that says what the test says.
pub(super) struct Store {
    pub(super) socket: ::zmq::Socket,
    pub(super) hello: Hello,
    pub(super) session: Uuid,
    /// Numbers and sequences that came.
    pub(super) arrived: Vec<(u64, u64)>,
}

/// Named by a number, with the credit that a collector takes.
pub(super) fn named(number: u128) -> Hello {
    Hello { store: Uuid::from_u128(number), instance: Uuid::new_v4(), credit: CREDIT_MAX }
}

impl Store {
    /// Connected and subscribed; it has said nothing yet.
    pub(super) fn connect(address: &str, hello: Hello) -> Self {
        let socket = ::zmq::Context::new().socket(::zmq::XSUB).unwrap();
        Self::over(socket, address, hello)
    }

    pub(super) fn over(socket: ::zmq::Socket, address: &str, hello: Hello) -> Self {
        socket.set_rcvtimeo(PATIENCE_MS).unwrap();
        socket.set_linger(0).unwrap();
        socket.connect(address).unwrap();
        let topic = private_topic("gannet", hello.store);
        socket.send([&[1], topic.as_bytes()].concat(), 0).unwrap();
        Self { socket, hello, session: Uuid::nil(), arrived: Vec::new() }
    }

    /// Says HELLO until there is an answer to it: what is said before the connection stands goes nowhere.
    pub(super) fn greet(&mut self) -> Answer {
        let answer = loop {
            self.socket.send(self.hello.to_octets().as_slice(), 0).unwrap();
            if self.socket.poll(::zmq::POLLIN, 50) == Ok(0) {
                continue;
            }
            let frames = self.socket.recv_multipart(0).unwrap();
            match Downstream::read(&frames[1]) {
                Ok(Downstream::Answer(answer)) if answer.instance == self.hello.instance => break answer,
                _ => {}
            }
        };
        self.session = answer.session.unwrap_or_default();
        answer
    }

    /// Another run in the place of a former one, whose end the probe may not have seen yet.
    pub(super) fn come_back(&mut self) -> Uuid {
        loop {
            if let Ok(session) = self.greet().session {
                return session;
            }
        }
    }

    /// The next batch of the session, whose number is not checked.
    pub(super) fn receive(&mut self) -> (u64, u64) {
        loop {
            let frames = self.socket.recv_multipart(0).unwrap();
            if let Ok(Downstream::Delivery(Delivery { session, number })) = Downstream::read(&frames[1])
                && session == self.session
            {
                let header = Header::from_frame(&frames[2], &frames[3]).unwrap();
                self.arrived.push((number, header.stamp.sequence.0));
                return (number, header.stamp.sequence.0);
            }
        }
    }

    /// Whether a batch comes within so many milliseconds of silence. A HELLO that was said twice has two answers: those are none.
    pub(super) fn gets_another_within(&self, milliseconds: i32) -> bool {
        self.socket.set_rcvtimeo(milliseconds).unwrap();
        let mut frames = std::iter::from_fn(|| self.socket.recv_multipart(0).ok());
        let is_batch =
            |frames: Vec<Vec<u8>>| matches!(Downstream::read(&frames[1]), Ok(Downstream::Delivery(_)));
        let found = frames.any(is_batch);
        self.socket.set_rcvtimeo(PATIENCE_MS).unwrap();
        found
    }

    pub(super) fn acknowledge(&self, received: u64, committed: u64) {
        let (store, session, credit) = (self.hello.store, self.session, self.hello.credit);
        let ack = Ack { store, session, credit, received, committed };
        self.socket.send(ack.to_octets().as_slice(), 0).unwrap();
    }
}
