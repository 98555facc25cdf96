//! What the live tests stand on: a network namespace with a veth pair, a program that redirects, a sender.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod capability;
pub mod namespace;
pub mod program;
pub mod sender;

use std::time::{Duration, Instant};

/// Calls `done` until it says so; fails with `what` after `limit`.
pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < until, "{what}: not within {limit:?}");
        std::thread::yield_now();
    }
}

/// A frame of `octets` bytes that carries `number` after its Ethernet header. The last octet of the destination decides on the socket.
pub fn frame(octets: usize, spread: u8, number: u32) -> Vec<u8> {
    let mut frame = vec![0_u8; octets];
    frame[..6].copy_from_slice(&[0x02, 0, 0, 0, 1, spread]);
    frame[6..12].copy_from_slice(&[0x02, 0, 0, 0, 2, 0]);
    frame[12..14].copy_from_slice(&0x88b5_u16.to_be_bytes());
    frame[14..18].copy_from_slice(&number.to_be_bytes());
    for (index, byte) in frame.iter_mut().enumerate().skip(18) {
        *byte = index as u8;
    }
    frame
}

/// The number of a frame that [`frame`] made.
pub fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[14], bytes[15], bytes[16], bytes[17]])
}

/// A UDP packet of flow `flow`, in one direction or back.
pub fn udp(flow: u8, back: bool, number: u32) -> Vec<u8> {
    let mut packet = frame(60, 0, number);
    let (mut from, mut to) = ([10, 0, 0, flow, 0x30, flow], [10, 0, 1, 1, 0x00, 53]);
    if back {
        std::mem::swap(&mut from, &mut to);
    }
    packet[12..14].copy_from_slice(&0x0800_u16.to_be_bytes());
    packet[14..26].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    packet[26..30].copy_from_slice(&from[..4]);
    packet[30..34].copy_from_slice(&to[..4]);
    packet[34..36].copy_from_slice(&from[4..]);
    packet[36..38].copy_from_slice(&to[4..]);
    packet[38..42].copy_from_slice(&[0, 26, 0, 0]);
    packet[50..54].copy_from_slice(&number.to_be_bytes());
    packet
}
