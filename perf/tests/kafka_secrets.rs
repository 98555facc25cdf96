//! The whole way over TLS and a login, with the password in a file: it is seen nowhere, however much is logged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod whole;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use perf::process::Program;
use whole::broker::{Broker, secure};
use whole::{Collector, PATIENCE, capture, reader};

const FLOWS: u16 = 1_500;

/// Both users may do what the guide says they need.
fn grant(broker: &Broker) {
    let prefixed = ["--resource-pattern-type", "prefixed"];
    let probe = ["--producer", "--consumer", "--topic", "gannet.", "--transactional-id", "gannet/"];
    let probe = [&probe[..], &["--group", "gannet-spool/", "--allow-principal", "User:probe"]].concat();
    broker.acl("--add", &[&probe[..], &prefixed].concat());
    let collector = ["--consumer", "--topic", "gannet.", "--group", "gannet-collector-"];
    broker.acl("--add", &[&collector[..], &["--allow-principal", "User:collector"], &prefixed].concat());
}

fn login(folder: &Path, broker: &Broker, user: &str) -> String {
    let path = folder.join(format!("{user}.conf"));
    let (authority, password) = (broker.path("ca.pem"), broker.password(user));
    let text = format!(
        "ssl.ca.location={}\nsasl.mechanism=SCRAM-SHA-512\nsasl.username={user}\nsasl.password={password}\n",
        authority.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    format!("@{}", path.display())
}

#[test]
fn over_tls_and_sasl_the_books_balance_and_no_password_is_seen() {
    let broker = secure();
    grant(broker);
    let folder = tempfile::tempdir().unwrap();
    let [file, books] = ["file.pcap", "books"].map(|name| folder.path().join(name));
    capture(&file, 1_000, FLOWS);
    let url = broker.url_of("sasl_ssl");
    let conf = login(folder.path(), broker, "probe");
    let words = ["--ntopng", &url, "--kafka-conf", &conf, "--ledger", books.to_str().unwrap()];
    let probe = reader(&file, None, &words).env("GANNET_LOG", "debug").run(PATIENCE).unwrap();
    assert_eq!(probe.code(), 0, "{}", probe.stderr);
    assert!(!probe.stderr.contains("permit"), "the guide's rights are not enough: {}", probe.stderr);

    let conf = login(folder.path(), broker, "collector");
    let store = folder.path().join("store");
    let collector = Collector::start(&store, None, &["-i", &url, "--kafka-conf", &conf]);
    let (code, ledger) = collector.check();
    assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{ledger:#}");
    assert_eq!(ledger["epochs"][0]["total"]["stored"]["packets"], 3 * u64::from(FLOWS));

    let metrics = Command::new("curl").args(["-sS", &collector.url("/metrics")]).output().unwrap();
    let metrics = String::from_utf8(metrics.stdout).unwrap();
    assert!(metrics.contains("# EOF"), "{metrics}");
    let written = std::fs::read_to_string(&books).unwrap();
    let shown = [probe.stderr, probe.stdout, written, collector.said(), ledger.to_string(), metrics];
    for user in ["probe", "collector"] {
        let password = broker.password(user);
        assert!(shown.iter().all(|text| !text.contains(&password)), "the password of {user} is shown");
    }
}

#[test]
fn a_password_among_the_words_is_warned_of_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.pcap");
    capture(&file, 1_000, 1);
    let words =
        ["--ntopng", "kafka-ssl://127.0.0.1:1", "--kafka-conf", "ssl.key.password=s3cret", "--check-config"];
    let probe = reader(&file, None, &words).run(PATIENCE).unwrap();
    assert!(probe.stderr.contains("everybody on this host can read it"), "{}", probe.stderr);
    let words = ["-i", "zmq://127.0.0.1:9", "--http", "no-address", "--kafka-conf", "sasl.password=s3cret"];
    let collector = Program::ours("gannet-collector").unwrap().args(words).run(PATIENCE).unwrap();
    assert_eq!(collector.code(), 2);
    for text in [probe.stderr, probe.stdout, collector.stderr, collector.stdout] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}
