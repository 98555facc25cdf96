//! A real broker for a test of any crate (by `#[path]`), started and ended by the script beside this file.
//!
//! A start takes some seconds, so the tests of one file share a broker: [`shared`] where each has topics of its own and
//! leaves the broker alone, [`exclusive`] where it stops or pauses it. The script ends it with the test's process, however
//! that ends.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tempfile::TempDir;

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The broker of this process, which everybody leaves running; `KAFKA_BOOTSTRAP` may stand in for it.
pub(crate) fn shared() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::start_new(&[], std::env::var_os("KAFKA_BOOTSTRAP").is_some()))
}

/// The same, with TLS, users and ACLs.
pub(crate) fn secure() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::with(&["--secure"]))
}

/// One that a test has for itself while it holds this, to stop it and start it again: it runs when the next one gets it.
pub(crate) fn exclusive(options: &[&str]) -> Exclusive {
    static BROKER: OnceLock<Mutex<Broker>> = OnceLock::new();
    let broker = BROKER.get_or_init(|| Mutex::new(Broker::with(options)));
    let broker = broker.lock().unwrap_or_else(PoisonError::into_inner);
    // Where the test before failed it may stand still, or not run.
    let _ = broker.command(&["resume"]);
    broker.start();
    broker
}

/// See [`exclusive`].
pub(crate) type Exclusive = MutexGuard<'static, Broker>;

/// One broker in a directory of its own.
pub(crate) struct Broker {
    directory: TempDir,
    pub(crate) bootstrap: String,
    foreign: bool,
}

impl Broker {
    /// A broker of the test's own.
    pub(crate) fn own() -> Self {
        Self::with(&[])
    }

    /// The same with options of the script: `--secure`, `KEY=VALUE`.
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::start_new(options, false)
    }

    /// The same, whose data lie on a disk of so many megabytes (root).
    pub(crate) fn on_small_disk(megabytes: u32, options: &[&str]) -> Self {
        let broker = Self::new(false);
        let data = broker.path("data");
        std::fs::create_dir(&data).unwrap();
        mount(&format!("size={megabytes}m"), &data);
        broker.begin(options)
    }

    /// Another size of that disk.
    pub(crate) fn resize_disk(&self, megabytes: u32) {
        mount(&format!("remount,size={megabytes}m"), &self.path("data"));
    }

    fn new(foreign: bool) -> Self {
        let directory = tempfile::Builder::new().prefix("gannet-kafka-").tempdir().unwrap();
        Self { directory, bootstrap: String::new(), foreign }
    }

    fn start_new(options: &[&str], foreign: bool) -> Self {
        Self::new(foreign).begin(options)
    }

    fn begin(mut self, options: &[&str]) -> Self {
        let id = std::process::id().to_string();
        self.bootstrap = self.call(&[&["start", "--until", &id], options].concat());
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("kafka://{}", self.bootstrap)
    }

    /// The URL of a further listener of a `--secure` one: `ssl`, `sasl_plaintext`, `sasl_ssl`.
    pub(crate) fn url_of(&self, listener: &str) -> String {
        let scheme = if listener.ends_with("ssl") { "kafka-ssl" } else { "kafka" };
        let address = std::fs::read_to_string(self.path(&format!("bootstrap.{listener}"))).unwrap();
        format!("{scheme}://{}", address.trim())
    }

    /// The password of one of the users of a `--secure` one.
    pub(crate) fn password(&self, user: &str) -> String {
        let passwords = std::fs::read_to_string(self.path("passwords")).unwrap();
        let mut pairs = passwords.lines().filter_map(|line| line.split_once(' '));
        pairs.find(|(name, _)| *name == user).unwrap().1.to_owned()
    }

    /// A file in its directory: `ca.pem`, `other-ca.pem`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("broker.log")).unwrap_or_default()
    }

    /// Runs one of Kafka's own tools against it.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("java");
        command
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"])
            .arg(root().join(".cache/kafka/libs/*"))
            .args([class, "--bootstrap-server", &self.bootstrap])
            .args(arguments);
        succeeded(class, command.output().unwrap())
    }

    /// Grants (`--add`) or takes back (`--remove`) what the further words of Kafka's `AclCommand` name.
    pub(crate) fn acl(&self, what: &str, words: &[&str]) {
        let force: &[&str] = if what == "--remove" { &["--force"] } else { &[] };
        self.tool("org.apache.kafka.tools.AclCommand", &[&[what], force, words].concat());
    }

    /// On the same port, with the same data. One that runs goes on.
    pub(crate) fn start(&self) {
        assert_eq!(self.call(&["start"]), self.bootstrap);
    }

    /// In order.
    pub(crate) fn stop(&self) {
        self.call(&["stop"]);
    }

    /// As a crash.
    pub(crate) fn kill(&self) {
        self.call(&["kill"]);
    }

    /// It stands still: connections stay, and nothing is answered.
    pub(crate) fn pause(&self) {
        self.call(&["pause"]);
    }

    pub(crate) fn resume(&self) {
        self.call(&["resume"]);
    }

    /// Whether its process is there.
    pub(crate) fn runs(&self) -> bool {
        self.command(&["status"]).status.success()
    }

    fn call(&self, words: &[&str]) -> String {
        succeeded(words[0], self.command(words))
    }

    /// The command, its directory, further words.
    fn command(&self, words: &[&str]) -> Output {
        let mut call = Command::new(root().join("deploy/kafka/broker"));
        call.arg(words[0]).arg(self.directory.path()).args(&words[1..]);
        if !self.foreign {
            call.env_remove("KAFKA_BOOTSTRAP");
        }
        call.output().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.command(&["kill"]);
        if self.path("data").exists() {
            // It is a mount only of those on a small disk.
            let _ = Command::new("umount").arg("--quiet").arg(self.path("data")).output();
        }
    }
}

fn mount(options: &str, data: &Path) {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(data);
    succeeded("mount (it takes root)", command.output().unwrap());
}

fn succeeded(what: &str, output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let Output { status, stdout, stderr } = output;
    assert!(status.success(), "{what}: {}\n{}", text(&stderr), text(&stdout));
    text(&stdout)
}
