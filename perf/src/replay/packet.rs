//! A packet socket, and its word for what became of each frame.

use super::Error;
use super::tally::Tally;
use crate::kernel::device::Device;
use crate::kernel::packet_socket::{FRAMES_MAX, PacketSocket};
use crate::traffic::{Burst, Source};

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

    /// Sends a burst in its order, at most [`FRAMES_MAX`] frames in all. A frame that the device refuses is counted, and
    /// not tried again: what is sent then is what was meant to be, at its time.
    pub(super) fn send(
        &self,
        burst: &Burst,
        source: &mut dyn Source,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        let in_order = || {
            let each = burst.shots().iter().flat_map(|shot| (0..shot.copies).map(move |_| shot));
            each.take(FRAMES_MAX)
        };
        let mut frames: [&[u8]; FRAMES_MAX] = [&[]; FRAMES_MAX];
        let mut count = 0;
        for (slot, shot) in frames.iter_mut().zip(in_order()) {
            *slot = burst.frame(shot);
            count += 1;
        }
        let mut shots = in_order().peekable();
        let mut next = 0;
        while next < count {
            let taken = self.socket.send(&frames[next..count])?;
            for shot in shots.by_ref().take(taken) {
                tally.add(1, burst.frame(shot).len(), 1, 0);
                source.arrived(burst, shot, 1);
            }
            next += taken;
            if let Some(refused) = shots.next_if(|_| next < count) {
                tally.add(1, burst.frame(refused).len(), 0, 1);
                next += 1;
            }
        }
        Ok(())
    }
}
