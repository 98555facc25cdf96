//! The collector and a broker that does not let everybody in, nor read everything: TLS, SASL, ACLs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support {
    pub(crate) mod collector;
    pub(crate) mod kafka;
}

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::collector::{Collector, wait_until};
use support::kafka::{Broker, Producer};

const LISTENERS: [&str; 2] = ["sasl_plaintext", "sasl_ssl"];
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// What the guide says a collector needs, for the user of that name.
fn grant(broker: &Broker) {
    let group = "gannet-collector-";
    let names = ["--consumer", "--topic", "gannet.", "--group", group];
    let who = ["--allow-principal", "User:collector", "--resource-pattern-type", "prefixed"];
    broker.real().acl("--add", &[&names[..], &who].concat());
}

/// A file with the settings of a user who logs in; the word that names it.
fn login(folder: &Path, broker: &Broker, user: &str, mechanism: &str, password: &str) -> String {
    let authority = broker.real().path("ca.pem");
    let path = folder.join("kafka.conf");
    let text = format!(
        "ssl.ca.location={}\nsasl.mechanism={mechanism}\nsasl.username={user}\nsasl.password={password}\n",
        authority.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    format!("@{}", path.display())
}

#[test]
fn over_tls_and_every_login_all_of_it_is_read_once() {
    let broker = Broker::start_with(&["--secure"]);
    grant(&broker);
    broker.make_topics("gannet", 2);
    let mut producer = Producer::new(&broker, "gannet", 2);
    producer.send(5);
    producer.cut(true);
    let password = broker.real().password("collector");
    for (listener, mechanism) in
        LISTENERS.iter().flat_map(|listener| MECHANISMS.map(|mechanism| (listener, mechanism)))
    {
        let folder = tempfile::tempdir().unwrap();
        let conf = login(folder.path(), &broker, "collector", mechanism, &password);
        let url = broker.real().url_of(listener);
        let collector =
            Collector::start_with(&folder.path().join("store"), &[&url], &["--kafka-conf", &conf]);
        let ledger = collector.ask(&["ledger", "--check", "--wait", "60"]);
        assert_eq!(ledger["verdict"], "balanced", "{ledger:#}\n{}", collector.log());
        assert_eq!(collector.rows(), producer.rows(), "{listener} {mechanism}");
        assert!(!collector.log().contains(&password) && !ledger.to_string().contains(&password));
    }
}

/// It waits, says why, and stores nothing.
fn assert_refused(broker: &Broker, url: &str, conf: &[&str], words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let words_of_conf: Vec<_> = conf.iter().flat_map(|word| ["--kafka-conf", word]).collect();
    let collector = Collector::start_with(&folder.path().join("store"), &[url], &words_of_conf);
    wait_until(words, || collector.log().contains(words));
    assert!(!collector.log().contains(&broker.real().password("probe")), "{}", collector.log());
    assert_eq!(collector.rows(), 0);
    assert_eq!(collector.stop(), Some(0));
}

#[test]
fn who_is_not_let_in_waits_and_says_why() {
    let broker = Broker::start_with(&["--secure"]);
    broker.make_topics("gannet", 1);
    let mut producer = Producer::new(&broker, "gannet", 1);
    producer.send(1);
    let folder = tempfile::tempdir().unwrap();
    for (listener, mechanism) in LISTENERS.iter().zip(["PLAIN", "SCRAM-SHA-512"]) {
        let conf = login(folder.path(), &broker, "collector", mechanism, "wr0ng-one");
        assert_refused(&broker, &broker.real().url_of(listener), &[&conf], "Authentication failed");
    }
    // A user without rights.
    let conf = login(folder.path(), &broker, "probe", "PLAIN", &broker.real().password("probe"));
    let words = "the broker does not permit topic gannet.flow and gannet.ledger: permit Read and Describe";
    assert_refused(&broker, &broker.real().url_of("sasl_ssl"), &[&conf], words);

    let url = broker.real().url_of("ssl");
    let [right, wrong] = ["ca.pem", "other-ca.pem"]
        .map(|name| format!("ssl.ca.location={}", broker.real().path(name).display()));
    assert_refused(&broker, &url, &[&wrong], "certificate verify failed");
    assert_refused(&broker, &url, &[], "certificate verify failed");
    // The broker's certificate is for its address.
    let elsewhere = url.replace("127.0.0.1", "localhost");
    assert_refused(&broker, &elsewhere, &[&right], "certificate verify failed");
}
