//! Between clients and a broker that advertises this address: answers to one kind of request can be withheld, so that what was asked for
//! happens, and who asked does not hear of it.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::collections::BTreeSet;
use std::io::{Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Kafka's number of the request that commits or aborts a transaction.
pub(crate) const END_TXN: i16 = 26;

/// Of the one that puts a group's offsets into a transaction.
pub(crate) const TXN_OFFSET_COMMIT: i16 = 28;

/// Every request is answered.
pub(crate) const NONE: i16 = -1;

pub(crate) struct Proxy {
    listener: TcpListener,
    door: Arc<Door>,
}

struct Door {
    /// Number of the kind of request whose answers are not heard.
    withholds: AtomicI16,
    withheld: AtomicUsize,
}

impl Proxy {
    /// Has an address; nobody is let through yet.
    pub(crate) fn bind() -> Self {
        let door = Door { withholds: NONE.into(), withheld: AtomicUsize::default() };
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap(), door: Arc::new(door) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// From now on whoever connected, or does so, speaks with this broker.
    pub(crate) fn forward_to(&self, broker: &str) {
        let (listener, door, broker) =
            (self.listener.try_clone().unwrap(), Arc::clone(&self.door), broker.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, door) = (client.unwrap(), Arc::clone(&door));
                // A broker that is away refuses, as it would without us.
                let Ok(broker) = TcpStream::connect(&broker) else { continue };
                let unheard = Arc::new(Mutex::new(BTreeSet::new()));
                let ends = (client.try_clone().unwrap(), broker.try_clone().unwrap());
                let questions = (Arc::clone(&door), Arc::clone(&unheard));
                std::thread::spawn(move || {
                    pass(ends.0, ends.1, |frame| {
                        if questions.0.withholds.load(Ordering::SeqCst) == key(frame) {
                            questions.1.lock().unwrap().insert(number(frame, 4));
                        }
                        true
                    })
                });
                std::thread::spawn(move || {
                    pass(broker, client, |frame| {
                        let is_heard = !unheard.lock().unwrap().remove(&number(frame, 0));
                        door.withheld.fetch_add(usize::from(!is_heard), Ordering::SeqCst);
                        is_heard
                    })
                });
            }
        });
    }

    /// From now on this kind of request is not answered.
    pub(crate) fn withhold(&self, kind: i16) {
        self.door.withholds.store(kind, Ordering::SeqCst);
    }

    /// Answers that nobody has heard.
    pub(crate) fn withheld(&self) -> usize {
        self.door.withheld.load(Ordering::SeqCst)
    }
}

/// Frame by frame, those that are let through; to the end of either side.
fn pass(mut from: TcpStream, mut to: TcpStream, mut lets_through: impl FnMut(&[u8]) -> bool) {
    while let Ok(frame) = read(&mut from) {
        if lets_through(&frame[4..]) && to.write_all(&frame).is_err() {
            break;
        }
    }
    let _it_may_be_gone = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// With its length.
fn read(from: &mut TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut frame = vec![0; 4 + u32::from_be_bytes(length) as usize];
    frame[..4].copy_from_slice(&length);
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}

fn key(request: &[u8]) -> i16 {
    i16::from_be_bytes([request[0], request[1]])
}

/// By which an answer is known: behind key and version of a request, at the beginning of an answer.
fn number(frame: &[u8], at: usize) -> [u8; 4] {
    frame[at..at + 4].try_into().unwrap()
}
