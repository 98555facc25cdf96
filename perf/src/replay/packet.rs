//! A packet socket, and its word for what became of each frame.

use super::Error;
use super::tally::Tally;
use crate::kernel::device::Device;
use crate::kernel::packet_socket::{FRAMES_MAX, PacketSocket};
use crate::traffic::{Step, Traffic};

/// A way to send: a packet socket on one device.
#[derive(Debug)]
pub struct PacketFrames<'a> {
    socket: PacketSocket,
    _device: &'a Device,
}

impl<'a> PacketFrames<'a> {
    /// Opens the socket; needs CAP_NET_RAW.
    ///
    /// # Errors
    /// Without that right.
    pub fn open(device: &'a Device) -> Result<Self, Error> {
        Ok(Self { socket: PacketSocket::open(device)?, _device: device })
    }

    /// Sends the steps in their order, at most [`FRAMES_MAX`] frames in all. A frame that the device refuses is
    /// counted, and not tried again: what is sent then is what was meant to be, at its time.
    pub(super) fn send(&self, traffic: &Traffic, steps: &[Step], tally: &mut Tally) -> Result<(), Error> {
        let in_order = || steps.iter().flat_map(|step| (0..step.copies).map(|_| step.frame)).take(FRAMES_MAX);
        let mut frames: [&[u8]; FRAMES_MAX] = [&[]; FRAMES_MAX];
        let mut count = 0;
        for (slot, index) in frames.iter_mut().zip(in_order()) {
            *slot = traffic.frame(index);
            count += 1;
        }
        let mut indexes = in_order().peekable();
        let mut next = 0;
        while next < count {
            let taken = self.socket.send(&frames[next..count])?;
            for index in indexes.by_ref().take(taken) {
                tally.add(Step { frame: index, copies: 1 }, traffic.frame(index).len(), 1, 0);
            }
            next += taken;
            if let Some(refused) = indexes.next_if(|_| next < count) {
                tally.add(Step { frame: refused, copies: 1 }, traffic.frame(refused).len(), 0, 1);
                next += 1;
            }
        }
        Ok(())
    }
}
