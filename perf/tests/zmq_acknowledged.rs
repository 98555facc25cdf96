//! ZMQ without loss between our programs: whatever dies or is cut off, every record is stored, once, and the books say so.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod whole;

use std::path::Path;

use perf::kernel::signal::Signal;
use perf::kernel::thread::in_network;
use perf::netns::{End, Netns, Wire};
use perf::process::Program;
use perf::wait::wait_until;
use serde_json::Value;
use whole::site::{FLOOD, FLOWS, STRETCH_PACKETS, STRETCH_RECORDS, Site, wait_for_rows};
use whole::{Collector, PATIENCE};

/// Residual 0, nothing lost, all that was sent in stretches is stored, and once.
fn assert_whole(collector: &Collector, records: u64, packets: u64) {
    let (code, ledger) = collector.check_with(&["--max-loss", "0"]);
    assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{ledger:#}\n{}", collector.log());
    let total = &ledger["epochs"][0]["total"]["stored"];
    assert_eq!((&total["records"], &total["packets"]), (&records.into(), &packets.into()), "{ledger:#}");
    assert_eq!(collector.rows(), records);
}

#[test]
fn what_is_sealed_while_the_collector_is_away_is_kept_for_it() {
    let (mut site, first) = Site::start(&[]);
    site.send();
    wait_for_rows(&first, FLOWS);
    first.stop();
    site.wait_for("the store's connection is closed", 1);
    site.send();
    let second = site.collector(&[]);
    site.wait_for("a subscriber came back", 1);
    site.send();
    let folder = site.end();
    assert_whole(&second, 3 * STRETCH_RECORDS, 3 * STRETCH_PACKETS);
    second.stop();
    drop(folder);
}

#[test]
fn a_collector_that_is_killed_again_and_again_has_every_record_once() {
    let (mut site, mut collector) = Site::start(&[]);
    for killed in 1..=3 {
        site.send();
        // What is stored and not acknowledged yet comes again, and is known by its stamp.
        wait_until("some of it is stored", PATIENCE, || collector.rows() > (killed - 1) * STRETCH_RECORDS)
            .unwrap();
        collector.kill();
        site.send();
        collector = site.collector(&[]);
        site.wait_for("a subscriber came back", killed as usize);
    }
    let folder = site.end();
    assert_whole(&collector, 6 * STRETCH_RECORDS, 6 * STRETCH_PACKETS);
    drop((collector, folder));
}

/// Far more than the socket holds for a subscriber: a plain one would lose most of it.
#[test]
fn a_collector_that_stands_still_for_a_while_is_waited_for() {
    let (mut site, collector) = Site::start(&[]);
    collector.signal(Signal::Stop);
    site.flood();
    site.wait_for("the store is silent", 1);
    collector.signal(Signal::Continue);
    site.send();
    let folder = site.end();
    assert_whole(&collector, FLOOD + STRETCH_RECORDS, FLOOD + STRETCH_PACKETS);
    drop((collector, folder));
}

#[test]
fn two_stores_have_everything_each() {
    let (mut site, first) = Site::start(&[]);
    let other = site.folder.path().join("other");
    let second = Collector::start(&other, None, &["-i", &site.url]);
    site.wait_for("a subscriber came: a store", 2);
    site.send();
    let folder = site.end();
    for collector in [first, second] {
        assert_whole(&collector, STRETCH_RECORDS, STRETCH_PACKETS);
        collector.stop();
    }
    drop(folder);
}

/// Whoever stays has everything, and nobody's books miss the one that is gone.
#[test]
fn a_store_that_will_not_come_back_is_dropped_while_the_probe_runs() {
    let (mut site, first) = Site::start(&[]);
    let other = site.folder.path().join("other");
    let gone = Collector::start(&other, None, &["-i", &site.url]);
    site.wait_for("a subscriber came: a store", 2);
    gone.kill();
    site.wait_for("the store's connection is closed", 1);
    site.send();
    let name = || {
        let said = spool(&site, &["list"]);
        let away = said.lines().find(|line| line.contains("last used"))?;
        Some(away.strip_prefix("cursor")?.split_once(": ")?.0.trim().to_owned())
    };
    wait_until("its cursor is free", PATIENCE, || name().is_some()).unwrap();
    let name = name().unwrap();
    let said = spool(&site, &["drop", &name]);
    assert!(said.contains(" is dropped within a second"), "{said}");
    site.wait_for("the store is forgotten", 1);
    assert!(!spool(&site, &["list"]).contains(&name));
    site.send();
    let folder = site.end();
    assert_whole(&first, 2 * STRETCH_RECORDS, 2 * STRETCH_PACKETS);
    drop((first, folder));
}

#[test]
fn required_batches_wait_for_the_first_collector() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("zmq://127.0.0.1:{}", whole::free_port());
    let mut site = Site::alone(folder, url, &["--zmq-acknowledge", "require"]);
    site.send();
    site.send();
    let collector = site.collector(&[]);
    site.wait_for("a subscriber came: a store", 1);
    let folder = site.end();
    assert_whole(&collector, 2 * STRETCH_RECORDS, 2 * STRETCH_PACKETS);
    collector.stop();
    drop(folder);
}

/// What `gannet-probe spool` says to this.
fn spool(site: &Site, words: &[&str]) -> String {
    let state = site.folder.path().join("state");
    let program = Program::ours("gannet-probe").unwrap().args(["spool"]).args(words);
    program.args([Path::new("--state-dir"), &state]).run(PATIENCE).unwrap().stdout
}

/// Of the batches that wait for a store, so many records.
fn waiting(site: &Site) -> u64 {
    let said = spool(site, &["list"]);
    let of_store = said.lines().find(|line| line.starts_with("cursor") && !line.contains("first-store"));
    let count = of_store.and_then(|line| line.split_once(": ")?.1.split(' ').next()?.parse().ok());
    count.unwrap_or_else(|| panic!("no cursor of a store in\n{said}"))
}

/// The store has a name by then: what waits under it is not what is kept for a first store.
#[test]
fn a_probe_that_is_killed_keeps_what_waits_for_a_store_that_it_knew() {
    let require = ["--zmq-acknowledge", "require"];
    let (mut site, first) = Site::start(&require);
    site.send();
    wait_for_rows(&first, FLOWS);
    first.stop();
    site.wait_for("the store's connection is closed", 1);
    site.send();
    wait_until("the second stretch is in the spool", PATIENCE, || waiting(&site) == STRETCH_RECORDS).unwrap();
    let (folder, url) = site.kill();
    let mut site = Site::alone(folder, url, &require);
    let collector = site.collector(&[]);
    site.send();
    let folder = site.end();
    // Of the second stretch the last packet was in an open flow: that of a capture file can be read again.
    wait_for_rows(&collector, FLOWS + 2 * STRETCH_RECORDS);
    let (code, ledger) = collector.check();
    assert_eq!(
        (code, &ledger["residual"]["packets"], &ledger["doubled"]["batches"]),
        (0, &0.into(), &0.into())
    );
    drop((collector, folder));
}

/// Of a probe that is killed while the store is away, the next one knows who is away, and expects no first store beside it: nobody would
/// ever read what is kept for that one, and its end would look like a loss.
#[test]
fn a_probe_that_is_killed_while_a_store_is_away_loses_nothing_and_says_so() {
    let require = ["--zmq-acknowledge", "require"];
    let (mut site, first) = Site::start(&require);
    site.send();
    wait_for_rows(&first, FLOWS);
    first.stop();
    site.wait_for("the store's connection is closed", 1);
    for stretches in 1..=2 {
        site.send();
        let sealed = STRETCH_RECORDS + (stretches - 1) * FLOWS;
        wait_until("the stretch is in the spool", PATIENCE, || waiting(&site) == sealed).unwrap();
        let (folder, url) = site.kill();
        site = Site::alone(folder, url, &require);
    }
    let collector = site.collector(&[]);
    site.wait_for("a subscriber came: a store", 1);
    site.send();
    wait_for_rows(&collector, 3 * FLOWS + STRETCH_RECORDS);
    let said = site.probe.stderr();
    assert!(!said.contains("ERROR") && !said.contains("spool_failed"), "{said}");
    let folder = site.end();
    wait_for_rows(&collector, 2 * FLOWS + 2 * STRETCH_RECORDS);
    let (code, ledger) = collector.check();
    assert_eq!(
        (code, &ledger["residual"]["packets"], &ledger["doubled"]["batches"], &ledger["lost"]["records"]),
        (0, &0.into(), &0.into(), &0.into()),
        "{ledger:#}"
    );
    drop((collector, folder));
}

/// What it had not sealed is lost, which is no residual: the next start, another epoch, closes its books with a bound.
#[test]
fn a_probe_that_is_killed_leaves_its_epoch_open_and_the_next_one_is_whole() {
    let (mut site, collector) = Site::start(&[]);
    site.send();
    wait_for_rows(&collector, FLOWS);
    let (folder, url) = site.kill();
    let mut site = Site::alone(folder, url, &[]);
    site.wait_for("a subscriber came", 1);
    site.send();
    let folder = site.end();
    let all = FLOWS + STRETCH_RECORDS;
    wait_until("all of the second is stored", PATIENCE, || collector.rows() == all).unwrap();
    let finished = collector.ask(&["ledger", "--check", "--format", "json"]);
    let ledger: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((finished.code(), &ledger["residual"]["packets"]), (0, &0.into()), "{ledger:#}");
    assert_eq!(ledger["lost"]["records"], 0, "{ledger:#}");
    drop((collector, folder));
}

/// The wire to the host of a probe; the test itself, and with it the collector, is on another host.
struct Host(Netns);

const URL: &str = "zmq://10.9.0.1:5556";

impl Host {
    fn site(&self, words: &[&str]) -> Site {
        Site::alone_in(&self.0, tempfile::tempdir().unwrap(), URL.to_owned(), words)
    }

    fn cut(&self, is_cut: bool) {
        self.0.ip(&["link", "set", "wire", if is_cut { "down" } else { "up" }]).unwrap();
    }
}

/// Children die with the thread that started them, so all of a test is in here.
fn on_two_hosts(test: impl FnOnce(Host) + Send) {
    let (probe, collector) = (Netns::new("zp").unwrap(), Netns::new("zc").unwrap());
    Wire::default().lay(End::new(&probe, "wire"), End::new(&collector, "wire")).unwrap();
    probe.address("wire", "10.9.0.1/24").unwrap();
    collector.address("wire", "10.9.0.2/24").unwrap();
    in_network(collector.name(), || test(Host(probe))).unwrap();
}

/// The public key of a running probe, as the operator carries it over.
fn key_of(site: &Site) -> String {
    site.folder.path().join("state/zmq-key.pub").to_str().unwrap().to_owned()
}

#[test]
fn a_cut_wire_between_two_hosts_costs_nothing_and_neither_end_needs_a_hand() {
    on_two_hosts(|host| {
        let mut site = host.site(&["--zmq-encryption"]);
        let key = key_of(&site);
        let collector = site.collector(&["--zmq-encryption-key", &key]);
        site.wait_for("a subscriber came: a store", 1);
        site.send();
        wait_for_rows(&collector, FLOWS);
        host.cut(true);
        site.send();
        site.wait_for("the store is silent", 1);
        site.send();
        host.cut(false);
        site.wait_for("a subscriber came back", 1);
        let folder = site.end();
        assert_whole(&collector, 3 * STRETCH_RECORDS, 3 * STRETCH_PACKETS);
        drop((collector, folder));
    });
}

#[test]
fn without_encryption_another_host_is_a_plain_subscriber_and_is_told_why() {
    on_two_hosts(|host| {
        let mut site = host.site(&[]);
        let collector = site.collector(&[]);
        let is_told = || collector.log().contains("turn on --zmq-encryption on both");
        wait_until("it is told", PATIENCE, is_told).unwrap();
        site.wait_for("a subscriber came", 1);
        site.send();
        let folder = site.end();
        assert_whole(&collector, STRETCH_RECORDS, STRETCH_PACKETS);
        drop((collector, folder));
    });
}

#[test]
fn a_collector_without_the_right_key_says_so_and_goes_on_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("zmq://127.0.0.1:{}", whole::free_port());
    let mut site = Site::alone(directory, url, &["--zmq-acknowledge", "require", "--zmq-encryption"]);
    let (key, wrong) = (key_of(&site), site.folder.path().join("wrong"));
    std::fs::write(&wrong, "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\n").unwrap();
    for (words, said) in [
        (vec![], "give --zmq-encryption-key FILE"),
        (
            vec!["--zmq-encryption-key", wrong.to_str().unwrap()],
            "its key is not the one in --zmq-encryption-key",
        ),
    ] {
        let collector = site.collector(&words);
        wait_until(said, PATIENCE, || collector.log().contains(said)).unwrap();
        collector.stop();
    }
    site.send();
    let collector = site.collector(&["--zmq-encryption-key", &key]);
    site.wait_for("a subscriber came: a store", 1);
    let folder = site.end();
    assert_whole(&collector, STRETCH_RECORDS, STRETCH_PACKETS);
    assert_no_secret(folder.path(), &collector.log());
    drop((collector, folder));
}

/// Neither end's secret key is in what it says.
fn assert_no_secret(folder: &Path, log: &str) {
    for secret in ["state/zmq-key.priv", "store/zmq-collector-key.priv"] {
        let key = std::fs::read_to_string(folder.join(secret)).unwrap();
        assert!(!log.contains(key.trim()), "{secret}");
    }
}
