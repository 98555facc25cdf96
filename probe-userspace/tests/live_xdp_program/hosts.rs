//! Two hosts on one wire: network namespaces `left` and `right`, a veth pair between them; gone with their value.
#![expect(unsafe_code, reason = "setns(2) has no safe face")]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Name of the interface on either side.
pub(crate) const WIRE: &str = "wire0";

static NUMBER: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

pub(crate) struct Hosts {
    stem: String,
}

impl Hosts {
    /// `queues` queues on either side. No IPv6: nobody sends but the test.
    pub(crate) fn new(queues: u32) -> Self {
        // SAFETY: no arguments, no memory, cannot fail.
        assert_eq!(unsafe { libc::geteuid() }, 0, "live tests make network namespaces: run them as root");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let hosts = Self { stem: format!("gn-kernel-{}-{number}", std::process::id()) };
        for side in [Side::Left, Side::Right] {
            ip(&["netns", "add", &hosts.name(side)]);
            let off = "net.ipv6.conf.default.disable_ipv6=1";
            ip(&["netns", "exec", &hosts.name(side), "sysctl", "-q", "-w", off]);
        }
        let queues = queues.to_string();
        let (left, right) = (hosts.name(Side::Left), hosts.name(Side::Right));
        let size = ["numrxqueues", &queues, "numtxqueues", &queues];
        let mut pair = vec!["-n", &left, "link", "add", WIRE];
        pair.extend(size);
        pair.extend(["type", "veth", "peer", "name", WIRE]);
        pair.extend(size);
        pair.extend(["netns", &right]);
        ip(&pair);
        for side in [Side::Left, Side::Right] {
            hosts.ip(side, &["link", "set", WIRE, "up"]);
        }
        hosts
    }

    /// `ip` on a host.
    pub(crate) fn ip(&self, side: Side, arguments: &[&str]) -> String {
        let name = self.name(side);
        ip(&[&["-n", &name][..], arguments].concat())
    }

    /// `ip -d link show` of the wire: it names an XDP program and its mode.
    pub(crate) fn show(&self, side: Side) -> String {
        self.ip(side, &["-d", "link", "show", "dev", WIRE])
    }

    /// A command that runs on a host (`ip` replaces itself by it: the pid is the program's).
    pub(crate) fn command(&self, side: Side, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(side)]).arg(program);
        command
    }

    /// Runs `work` on a host, in a thread of its own; its panic is the caller's.
    pub(crate) fn on<R: Send>(&self, side: Side, work: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                self.enter(side);
                work()
            });
            there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn enter(&self, side: Side) {
        let file = File::open(format!("/run/netns/{}", self.name(side))).unwrap();
        // SAFETY: an open descriptor of a network namespace; changes the calling thread only.
        let entered = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(entered, 0, "setns: {}", std::io::Error::last_os_error());
    }

    fn name(&self, side: Side) -> String {
        format!("{}-{}", self.stem, if side == Side::Left { "left" } else { "right" })
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for side in [Side::Left, Side::Right] {
            let _gone = Command::new("ip").args(["netns", "delete", &self.name(side)]).status();
        }
    }
}

fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("the `ip` command (iproute2)");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
