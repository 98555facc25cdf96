//! A loaded program to put frames into.
#![expect(unsafe_code, reason = "an AF_XDP socket that is not bound, which the xsk crate does not make")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use aya::programs::{TestRun, TestRunOptions};
use probe::source::xdp::{Error, Program, Settings};
use xdp_abi::outcome::Outcome;

/// What the program returned: include/uapi/linux/bpf.h, `enum xdp_action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Redirect,
    Other(u32),
}

pub(crate) struct Bench {
    program: Program,
}

impl Bench {
    pub(crate) fn new(settings: &Settings) -> Self {
        let program = load(settings).unwrap_or_else(|error| panic!("{error}"));
        Self { program }
    }

    pub(crate) fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Puts a socket into a slot of queue 0.
    pub(crate) fn fill(&mut self, slot: u32) {
        self.program.set_socket(0, slot, Self::socket()).unwrap();
    }

    /// The kernel runs the program once, on its loopback device's queue 0; a redirect is decided and not carried out.
    pub(crate) fn run(&mut self, frame: &[u8]) -> Verdict {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        let result = self.program.xdp().unwrap().test_run(options).unwrap();
        match result.return_value {
            2 => Verdict::Pass,
            4 => Verdict::Redirect,
            other => Verdict::Other(other),
        }
    }

    /// Exactly these outcomes, as (packets, octets), and seen = their sum.
    pub(crate) fn expect(&mut self, outcomes: &[(Outcome, u64, u64)]) {
        let counters = self.program.counters().unwrap();
        let mut seen = (0, 0);
        for outcome in &Outcome::ALL[..Outcome::COUNT - 1] {
            let expected = outcomes.iter().find(|(named, _, _)| named == outcome);
            let expected = expected.map_or((0, 0), |(_, packets, octets)| (*packets, *octets));
            let found = counters[0].of(*outcome);
            assert_eq!((found.packets, found.octets), expected, "{outcome:?}");
            seen = (seen.0 + expected.0, seen.1 + expected.1);
        }
        let found = counters[0].of(Outcome::Seen);
        assert_eq!((found.packets, found.octets), seen, "seen");
    }

    /// An AF_XDP socket with an RX ring, bound to nothing: all that the map asks of it (net/xdp/xsk.h,
    /// `xsk_is_setup_for_bpf_map`).
    pub(crate) fn socket() -> BorrowedFd<'static> {
        static SOCKET: OnceLock<OwnedFd> = OnceLock::new();
        SOCKET.get_or_init(unbound_socket).as_fd()
    }
}

/// Loads the embedded object, or the one that is named.
pub(crate) fn load(settings: &Settings) -> Result<Program, Error> {
    match std::env::var_os("GANNET_XDP_OBJECT") {
        Some(path) => Program::load_object(settings, &std::fs::read(path).unwrap()),
        None => Program::load(settings),
    }
}

fn unbound_socket() -> OwnedFd {
    let descriptors: u32 = 64;
    // SAFETY: plain system calls; the option's value is a live u32 of the length that is given, and the descriptor is
    // fresh and owned by nobody else.
    unsafe {
        let descriptor = libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(descriptor >= 0, "socket(AF_XDP): {}: run as root", std::io::Error::last_os_error());
        let socket = OwnedFd::from_raw_fd(descriptor);
        let set = libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_RX_RING,
            (&raw const descriptors).cast(),
            size_of::<u32>() as libc::socklen_t,
        );
        assert_eq!(set, 0, "setsockopt(XDP_RX_RING): {}", std::io::Error::last_os_error());
        socket
    }
}
