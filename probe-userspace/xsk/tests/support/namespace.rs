//! A network namespace with a veth pair `in0`, `out0`; gone with its value.
#![expect(unsafe_code, reason = "setns has no safe face")]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A namespace whose veth ends have `queues` queues each and an MTU of `mtu`. No IPv6, so that nothing but the test sends.
    pub fn with_veth(queues: u32, mtu: u32) -> Self {
        // SAFETY: no arguments, cannot fail.
        assert_eq!(unsafe { libc::geteuid() }, 0, "live tests make network namespaces: run them as root");
        let name = format!("gn-xsk-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name]);
        let namespace = Self { name };
        namespace.sysctl("net.ipv6.conf.all.disable_ipv6=1");
        namespace.sysctl("net.ipv6.conf.default.disable_ipv6=1");
        let (queues, mtu) = (queues.to_string(), mtu.to_string());
        let end = ["numrxqueues", &queues, "numtxqueues", &queues];
        let mut add = vec!["link", "add", "name", "in0", "mtu", &mtu];
        add.extend(end);
        add.extend(["type", "veth", "peer", "name", "out0", "mtu", &mtu]);
        add.extend(end);
        namespace.ip(&add);
        namespace.ip(&["link", "set", "in0", "up"]);
        namespace.ip(&["link", "set", "out0", "up"]);
        namespace
    }

    /// `ip` inside.
    pub fn ip(&self, arguments: &[&str]) {
        let mut all = vec!["-n", self.name.as_str()];
        all.extend(arguments);
        ip(&all);
    }

    /// `ip -d link show` of an interface.
    pub fn show(&self, interface: &str) -> String {
        ip(&["-n", &self.name, "-d", "link", "show", interface])
    }

    fn sysctl(&self, setting: &str) {
        ip(&["netns", "exec", &self.name, "sysctl", "-q", "-w", setting]);
    }

    /// Runs `work` in a thread of its own inside; its panic is the caller's.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter();
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves the calling thread inside.
    pub fn enter(&self) {
        let file = File::open(format!("/run/netns/{}", self.name)).expect("the namespace's file");
        // SAFETY: an open descriptor of a network namespace; changes this thread only.
        let result = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(result, 0, "setns: {}", std::io::Error::last_os_error());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _gone = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("the `ip` command (iproute2)");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
