//! Network namespaces for tests: a wire or a hub of our own, on which nobody else sends.
//!
//! ```text
//!   wire:  [ sender ]──veth, N queues──[ probe ]
//!
//!   hub:   [ client ]──┐
//!                      ├── bridge, ageing_time 0: every frame to every port
//!          [ server ]──┤
//!          [ mirror ]──┘   the port where a probe listens
//! ```
//!
//! Names are `gn-<label>-<pid>-<n>`. A namespace goes when its [`Netns`] is dropped (a panic included); one whose
//! process was killed goes at the next [`Netns::new`] of anybody, known by the dead pid in its name.

mod counters;
mod hub;
mod stale;
mod wire;

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

pub use counters::Counters;
pub use hub::Hub;
pub use wire::{End, Wire};

/// What cannot be done with a namespace, and what mends it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Namespaces need root.
    #[error("network namespaces need root, this is uid {0}: run the tests as root (`sudo make test`)")]
    NotRoot(u32),
    /// `ip` or `ethtool` is missing.
    #[error("cannot run `{command}`: {source}; `make setup` installs it")]
    Missing {
        /// The command line.
        command: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It ran and refused.
    #[error("`{command}` failed: {message}")]
    Refused {
        /// The command line.
        command: String,
        /// Its standard error.
        message: String,
    },
    /// A tool's answer is not what its documentation says.
    #[error("`{command}` answered {answer:?}: {reason}")]
    Answer {
        /// The command line.
        command: String,
        /// The answer.
        answer: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// One namespace, ours alone.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Netns {
    /// Makes a namespace with `lo` up and IPv6 off: no neighbour discovery that a test has not asked for.
    ///
    /// # Errors
    /// Without root, or without iproute2.
    pub fn new(label: &str) -> Result<Self, Error> {
        let uid = crate::kernel::effective_user();
        if uid != 0 {
            return Err(Error::NotRoot(uid));
        }
        stale::sweep();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("gn-{label}-{}-{number}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.set_ipv6(false)?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` takes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside (`ip` replaces itself by it: the child's pid is the program's).
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// `ip -n NAME ...`, its standard output.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn ip(&self, arguments: &[&str]) -> Result<String, Error> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments))
    }

    /// Runs a program inside to its end, and gives its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Error> {
        run(self.command(program).args(arguments))
    }

    /// Gives an interface an address (`10.0.0.1/24`, `fd00::1/64`).
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn address(&self, interface: &str, address: &str) -> Result<(), Error> {
        let mut arguments = vec!["address", "add", address, "dev", interface];
        if address.contains(':') {
            arguments.push("nodad");
        }
        self.ip(&arguments).map(drop)
    }

    /// Turns IPv6 on or off for the interfaces that are there and those to come.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_ipv6(&self, on: bool) -> Result<(), Error> {
        let off = if on { "0" } else { "1" };
        let script = format!("for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo {off} > $f; done");
        self.run("sh", &["-c", &script]).map(drop)
    }

    /// Switches offloads of an interface (`["gro", "off"]`), by ethtool.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn offload(&self, interface: &str, settings: &[&str]) -> Result<(), Error> {
        let mut arguments = vec!["-K", interface];
        arguments.extend(settings);
        self.run("ethtool", &arguments).map(drop)
    }

    /// The counters of an interface, as the kernel and its driver show them now.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn counters(&self, interface: &str) -> Result<Counters, Error> {
        Counters::read(self, interface)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        stale::remove(&self.name);
    }
}

/// Runs a command to its end; its standard output if it succeeded.
fn run(command: &mut Command) -> Result<String, Error> {
    let shown = || format!("{command:?}").replace('"', "");
    let line = shown();
    let Output { status, stdout, stderr } =
        command.output().map_err(|source| Error::Missing { command: line.clone(), source })?;
    if !status.success() {
        let message = String::from_utf8_lossy(&stderr).trim().to_owned();
        return Err(Error::Refused { command: line, message: format!("{message} ({status})") });
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
