//! A real broker for a test, started and ended by `deploy/kafka/broker`.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// One broker in a directory of its own; it is killed when the test ends, however that happens.
pub(crate) struct Broker {
    directory: TempDir,
    pub(crate) bootstrap: String,
    /// `KAFKA_BOOTSTRAP` may stand in for it.
    shared: bool,
}

impl Broker {
    /// Any broker will do, also that of `KAFKA_BOOTSTRAP`.
    pub(crate) fn any() -> Self {
        Self::start_new(true)
    }

    /// One that the test may stop.
    pub(crate) fn own() -> Self {
        Self::start_new(false)
    }

    fn start_new(shared: bool) -> Self {
        let directory = tempfile::Builder::new().prefix("gannet-kafka-").tempdir().unwrap();
        let mut broker = Self { directory, bootstrap: String::new(), shared };
        broker.bootstrap = broker.call("start");
        broker
    }

    /// One whose configuration is changed before it is used.
    pub(crate) fn configured(change: impl FnOnce(&Path, &mut String)) -> Self {
        let broker = Self::own();
        broker.call("stop");
        let path = broker.directory.path().join("server.properties");
        let mut properties = std::fs::read_to_string(&path).unwrap();
        change(broker.directory.path(), &mut properties);
        std::fs::write(&path, properties).unwrap();
        broker.start();
        broker
    }

    /// Runs one of Kafka's own tools against it.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) {
        let libraries = root().join(".cache/kafka/libs/*");
        let mut command = Command::new("java");
        command
            .arg("-cp")
            .arg(libraries)
            .args([class, "--bootstrap-server", &self.bootstrap])
            .args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{class}: {}", String::from_utf8_lossy(&output.stdout));
    }

    /// On the same port, with the same data.
    pub(crate) fn start(&self) {
        assert_eq!(self.call("start"), self.bootstrap);
    }

    /// As a crash.
    pub(crate) fn kill(&self) {
        self.call("kill");
    }

    fn call(&self, command: &str) -> String {
        let output = self.command(command);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        assert!(output.status.success(), "broker {command}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn command(&self, command: &str) -> Output {
        let mut call = Command::new(root().join("deploy/kafka/broker"));
        call.arg(command).arg(self.directory.path());
        if !self.shared {
            call.env_remove("KAFKA_BOOTSTRAP");
        }
        call.output().unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.command("kill");
    }
}
