//! A TCP session between the two hosts, as a user would have one with the box that captures.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::hosts::{Hosts, Side, WIRE};

const LEFT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// A session that is cut off says nothing; long enough for some retransmissions.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Session {
    client: TcpStream,
    echo: Option<JoinHandle<()>>,
    said: u64,
}

impl Session {
    /// Gives both hosts their addresses and connects `right` to an echo on `left`.
    pub(crate) fn new(hosts: &Hosts) -> Self {
        hosts.ip(Side::Left, &["address", "add", &format!("{LEFT}/24"), "dev", WIRE]);
        hosts.ip(Side::Right, &["address", "add", &format!("{RIGHT}/24"), "dev", WIRE]);
        let listener = hosts.on(Side::Left, || TcpListener::bind((LEFT, 0)).unwrap());
        let port = listener.local_addr().unwrap().port();
        // A socket stays in the namespace where it was made, whoever uses it.
        let echo = std::thread::spawn(move || echo(listener.accept().unwrap().0));
        let client = hosts.on(Side::Right, || TcpStream::connect((LEFT, port)).unwrap());
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_nodelay(true).unwrap();
        Self { client, echo: Some(echo), said: 0 }
    }

    /// Says something new and hears it back, some hundred times.
    pub(crate) fn talk(&mut self, when: &str) {
        for _ in 0..200 {
            self.said += 1;
            let mut heard = [0; 8];
            self.client.write_all(&self.said.to_be_bytes()).unwrap_or_else(|error| panic!("{when}: {error}"));
            self.client.read_exact(&mut heard).unwrap_or_else(|error| panic!("{when}: {error}"));
            assert_eq!(u64::from_be_bytes(heard), self.said, "{when}");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ended = self.client.shutdown(std::net::Shutdown::Both);
        if let Some(echo) = self.echo.take() {
            let _ended = echo.join();
        }
    }
}

fn echo(mut stream: TcpStream) {
    let _set = stream.set_nodelay(true);
    let _set = stream.set_read_timeout(Some(PATIENCE));
    let mut octets = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut octets) {
        if stream.write_all(&octets[..count]).is_err() {
            return;
        }
    }
}
