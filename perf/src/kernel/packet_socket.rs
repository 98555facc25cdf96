//! Sending whole frames through an AF_PACKET socket (packet(7)), many a call.
#![expect(unsafe_code, reason = "sockaddr_ll and sendmmsg(2) have no safe wrapper in the standard library")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::Error;
use super::device::Device;

/// Frames in one call: enough to hide the price of the call.
pub const FRAMES_MAX: usize = 64;

/// A socket that only sends: its protocol is 0, so the kernel hands it no received frame.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
}

impl PacketSocket {
    /// Opens a socket on a device. System calls: socket, bind. Needs CAP_NET_RAW.
    ///
    /// # Errors
    /// Without that right, or when the device is gone.
    pub fn open(device: &Device) -> Result<Self, Error> {
        // SAFETY: socket(2) takes three integers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(Error::last("socket(AF_PACKET, SOCK_RAW)"));
        }
        // SAFETY: the kernel has just answered with this descriptor, nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: a sockaddr_ll is integers: all zero is valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = device.index.cast_signed();
        // SAFETY: the address is a sockaddr_ll of the length that is said.
        let answer = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        if answer != 0 {
            return Err(Error::last("bind(AF_PACKET)"));
        }
        Ok(Self { socket })
    }

    /// Sends up to [`FRAMES_MAX`] frames in their order; says how many the device took. Fewer than all = it refused the
    /// one after them, and that one is gone: sendmmsg(2) stops there, and keeps the error to itself.
    ///
    /// # Errors
    /// When the first is refused for another cause than want of room (ENOBUFS, EAGAIN): the device is down or gone, or
    /// the frame is too long or too short for it.
    pub fn send(&self, frames: &[&[u8]]) -> Result<usize, Error> {
        let frames = &frames[..frames.len().min(FRAMES_MAX)];
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; FRAMES_MAX];
        // SAFETY: an mmsghdr is integers and pointers: all zero is valid.
        let mut messages: [libc::mmsghdr; FRAMES_MAX] = unsafe { std::mem::zeroed() };
        for ((frame, part), message) in frames.iter().zip(&mut parts).zip(&mut messages) {
            part.iov_base = frame.as_ptr().cast_mut().cast();
            part.iov_len = frame.len();
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        loop {
            // SAFETY: the first `frames.len()` messages each have one part that is a frame; sendmmsg(2) only reads
            // them. Messages, parts and frames outlive the call.
            let sent = unsafe {
                libc::sendmmsg(
                    self.socket.as_raw_fd(),
                    messages.as_mut_ptr(),
                    frames.len() as libc::c_uint,
                    0,
                )
            };
            if let Ok(sent) = usize::try_from(sent) {
                return Ok(sent);
            }
            let error = Error::last("sendmmsg(AF_PACKET)");
            match error.source.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::ENOBUFS | libc::EAGAIN) => return Ok(0),
                _ => return Err(error),
            }
        }
    }
}
