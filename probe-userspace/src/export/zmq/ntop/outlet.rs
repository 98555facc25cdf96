//! Two frames a message, numbered.

use flow_wire::ntop::{Header, Layout, Payload, Topic, compress, header::HEADER_OCTETS_MAX};

/// The way to the socket.
#[derive(Debug)]
pub(super) struct Outlet {
    layout: Layout,
    source: u32,
    compresses: bool,
    /// Of the next message, over all topics: ntopng takes a gap for a loss.
    number: u32,
    room: Vec<u8>,
}

impl Outlet {
    pub(super) fn new(layout: Layout, source: u32, compresses: bool) -> Self {
        Self { layout, source, compresses, number: 1, room: Vec::new() }
    }

    /// Messages so far.
    #[cfg(test)]
    pub(super) fn sent(&self) -> u32 {
        self.number - 1
    }

    /// Never waits.
    ///
    /// # Errors
    /// libzmq did not take it: then it has no number.
    pub(super) fn send(
        &mut self,
        socket: &::zmq::Socket,
        topic: Topic,
        payload: Payload,
        octets: &[u8],
    ) -> Result<(), ::zmq::Error> {
        let is_compressed =
            self.compresses && payload == Payload::Json && octets.len() <= compress::TEXT_OCTETS_MAX;
        let (payload, octets) = match is_compressed {
            true => {
                compress::compress(octets, &mut self.room);
                (Payload::Compressed { octets: length(octets) }, self.room.as_slice())
            }
            false => (payload, octets),
        };
        let header =
            Header { topic, payload, octets: length(octets), number: self.number, source: self.source };
        let mut room = [0; HEADER_OCTETS_MAX];
        let frames: [&[u8]; 2] = [header.write(self.layout, &mut room), octets];
        socket.send_multipart(frames, ::zmq::DONTWAIT)?;
        self.number = self.number.wrapping_add(1);
        Ok(())
    }
}

/// Far below 64 KiB.
fn length(octets: &[u8]) -> u32 {
    octets.len() as u32
}
