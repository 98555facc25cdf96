//! Sends frames as they are through an interface (AF_PACKET).
#![expect(unsafe_code, reason = "socket calls")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use xsk::Interface;

pub struct Sender {
    socket: OwnedFd,
}

impl Sender {
    pub fn new(interface: &Interface) -> Self {
        // SAFETY: integers only; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(fd >= 0, "socket(AF_PACKET): {}", io::Error::last_os_error());
        // SAFETY: just opened, ours.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: integers and arrays of them.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = interface.index() as i32;
        // SAFETY: pointer and length describe `address`.
        let result = unsafe {
            libc::bind(fd, (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t)
        };
        assert_eq!(result, 0, "bind(AF_PACKET): {}", io::Error::last_os_error());
        Self { socket }
    }

    /// Sends one frame; where the peer's ring is full, again.
    pub fn send(&self, frame: &[u8]) {
        loop {
            // SAFETY: pointer and length describe `frame`.
            let sent = unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
            if sent >= 0 {
                assert_eq!(sent as usize, frame.len());
                return;
            }
            let error = io::Error::last_os_error();
            assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS), "send: {error}");
            std::thread::yield_now();
        }
    }
}
