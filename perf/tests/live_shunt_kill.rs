//! A probe that is killed while its program counts flows by itself: the next start puts what nobody had read into the records of those
//! flows, and each packet that the generator sent is in one record, or passed, or lay in a ring, counted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;
mod whole;

use std::path::{Path, PathBuf};

use live::lasting::{DONE, Lasting, packets};
use live::{BOUND, Room};
use perf::bpffs::BpfFs;
use perf::flows::{self, Flows};
use perf::kernel::thread::in_network;
use perf::process::{Program, Running};
use perf::wait::wait_until;
use serde_json::Value;
use whole::Collector;

/// Few flows with many packets: 160,000 in 4 s.
const ELEPHANTS: &str = "--flows 40 --packets-per-flow 4000 --burst 4 --rate 40000";
const SHUNT: &str = "--capture xdp --shunt 64 --ring-size 32768";

/// What a start says of the kernel side that a killed one left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Side {
    seen: u64,
    passed: u64,
    lost: u64,
}

fn side(stderr: &str) -> Option<Side> {
    let said = stderr.split("its program saw").nth(1)?.lines().next()?;
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[seen, passed, lost] = &*numbers else { panic!("{said}") };
    Some(Side { seen, passed, lost })
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

/// What was sent and is in no record. More than was sent is in none.
fn missing(sent: &Flows, found: &Flows) -> u64 {
    let mut short = 0;
    for (key, sent) in sent {
        let found = found.get(key).copied().unwrap_or_default();
        for (found, sent) in [(found.upward, sent.upward), (found.downward, sent.downward)] {
            assert!(found.packets <= sent.packets, "{key:?}: {found:?} of {sent:?}");
            assert!(found.layer2_octets <= sent.layer2_octets, "{key:?}: {found:?} of {sent:?}");
            short += sent.packets - found.packets;
        }
    }
    assert!(found.keys().all(|key| sent.contains_key(key)));
    short
}

/// All lines of all probes of the room, of which each begins the file anew.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn take(&mut self, room: &Room) {
        let text = std::fs::read_to_string(room.path("flows")).unwrap();
        // A line that the kill cut off was not sent.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.0.push_str(&text[..whole]);
    }

    fn flows(&self) -> Flows {
        flows::read(&self.0).unwrap()
    }
}

fn carried(room: &Room) -> u64 {
    room.right.counters("in").unwrap().rx_packets
}

/// Killed as soon as the last packet is on the wire: most of the last second's are with the program, and nobody has read them.
#[test]
fn what_the_program_counted_and_nobody_read_is_in_the_records_of_the_next_start() {
    for arguments in ["", "--workers 2", "--user root"] {
        let lasting = Lasting::new();
        let probe = lasting.probe(&format!("{SHUNT} {arguments}"));
        let truth = lasting.room.path("truth");
        let report = lasting.room.send(&format!("{ELEPHANTS} --truth {}", truth.display()));
        probe.kill().unwrap();
        let mut lines = Lines::default();
        lines.take(&lasting.room);
        assert_eq!(lines.0, "", "all flows were open");

        let books = lasting.successor(&format!("{SHUNT} {arguments}"));
        books.assert_balanced(arguments);
        lines.take(&lasting.room);
        let killed = side(&books.finished.stderr).unwrap();
        let sent = number(&report, "/arrived/packets");
        assert_eq!((killed.seen, killed.passed), (sent, 0), "{arguments}");
        let truth = flows::read(&std::fs::read_to_string(truth).unwrap()).unwrap();
        assert_eq!(missing(&truth, &lines.flows()), killed.lost, "{arguments}: {killed:?}");
        if killed.lost == 0 {
            assert_eq!(flows::differences(&truth, &lines.flows()), Vec::<String>::new(), "{arguments}");
        }
        let records = lasting.lines();
        assert_eq!((records.len(), packets(&records)), (40, sent - killed.lost), "{arguments}");
        let shunted = |line: &Value| line["shunted_packet_delta_count"].as_u64().unwrap_or(0);
        assert!(records.iter().map(shunted).sum::<u64>() > sent / 2, "{arguments}: hardly any was shunted");
        assert!(records.iter().all(|line| line["recovered_from"].is_string()));
        // Who cannot write there any more leaves empty files.
        let octets = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
        assert_eq!(lasting.files().iter().map(octets).sum::<u64>(), 0, "{arguments}");
        assert!(lasting.pins().is_empty(), "{arguments}: {:?}", lasting.pins());
    }
}

/// Under load, again and again, records being cut meanwhile: the traffic goes on over each kill.
#[test]
fn kills_under_load_leave_each_packet_in_one_place() {
    // Half a minute: a start may take its time on a busy machine.
    const LOAD: &str = "--by packet-socket --flows 40 --packets-per-flow 32000 --burst 4 --rate 40000";
    let lasting = Lasting::new();
    let arguments = format!("{SHUNT} -t 1 --workers 2");
    let truth = lasting.room.path("truth");
    let mut probe = lasting.probe(&arguments);
    let sender = lasting.room.sender(&format!("{LOAD} --truth {}", truth.display())).start().unwrap();
    let further = |packets| {
        let until = carried(&lasting.room) + packets;
        wait_until("the traffic goes on", BOUND, || carried(&lasting.room) > until).unwrap();
    };
    let mut lines = Lines::default();
    let mut sides = Vec::new();
    for _ in 0..3 {
        further(80_000);
        probe.kill().unwrap();
        lines.take(&lasting.room);
        // Longer than a sample takes to find out that nobody is there.
        further(60_000);
        probe = lasting.probe(&arguments);
        probe.wait_for_line(DONE, BOUND).unwrap();
        sides.push(side(&probe.stderr()).unwrap());
    }
    let sent = sender.wait(BOUND).unwrap();
    let report: Value = serde_json::from_str(&sent.stdout).unwrap();
    let books = lasting.room.stop(probe);
    books.assert_balanced("the last one");
    lines.take(&lasting.room);
    let sum = |of: fn(&Side) -> u64| sides.iter().map(of).sum::<u64>();
    let arrived = number(&report, "/arrived/packets");
    assert_eq!(sum(|side| side.seen) + books.total("/seen/packets"), arrived, "{sides:?}");
    assert!(sides.iter().all(|side| side.passed > 10_000), "the shunt stops where nobody is: {sides:?}");
    let truth = flows::read(&std::fs::read_to_string(truth).unwrap()).unwrap();
    let short = missing(&truth, &lines.flows());
    let counted = sum(|side| side.passed) + sum(|side| side.lost) + books.total("/lost/packets");
    assert_eq!(short, counted, "{sides:?}, {:#}", books.ledger["total"]);
}

/// Without a BPF file system the program ends with its probe, and what nobody had read of it: what was read is exported, and it is said that no more is
/// known.
#[test]
fn where_nothing_can_be_pinned_what_was_read_is_exported_and_the_books_are_a_bound() {
    let lasting = Lasting::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let arguments = format!(
        "{SHUNT} --probe-id {} --recovery-dir {} --bpf-dir {} --http 127.0.0.1:0",
        live::lasting::PROBE,
        lasting.place.path().display(),
        elsewhere.path().display()
    );
    let probe = lasting.room.probe(&arguments);
    let truth = lasting.room.path("truth");
    lasting.room.send(&format!("{ELEPHANTS} --truth {}", truth.display()));
    probe.kill().unwrap();
    let mut next = lasting.room.probe(&arguments);
    next.wait_for_line(DONE, BOUND).unwrap();
    let books = lasting.room.stop(next);
    books.assert_balanced("the next one");
    assert_eq!(side(&books.finished.stderr), None, "{}", books.finished.stderr);
    let said = "had counted of flows by itself";
    assert!(books.finished.stderr.contains(said), "{}", books.finished.stderr);
    let truth = flows::read(&std::fs::read_to_string(truth).unwrap()).unwrap();
    let mut lines = Lines::default();
    lines.take(&lasting.room);
    let missing = missing(&truth, &lines.flows());
    assert!(missing < 80_000, "{missing}: more than two seconds");
    assert_eq!(lasting.lines().len(), 40);
}

/// In a namespace of the room's own every port is free.
const BUS: &str = "zmq://127.0.0.1:1234";

/// A probe whose spool, flows and pins outlive it, on a bus.
fn on_a_bus(room: &Room, (place, bpf): (&Path, &BpfFs)) -> Running {
    Program::ours_in(&room.right, "gannet-probe")
        .unwrap()
        .args(["-i", "in", "--ntopng", BUS])
        .args(SHUNT.split_whitespace())
        .args([Path::new("--state-dir"), &room.path("state")])
        .args([Path::new("--flows"), &room.path("flows")])
        .args([Path::new("--ledger"), &room.path("ledger")])
        .args([Path::new("--recovery-dir"), place])
        .args([Path::new("--bpf-dir"), bpf.path()])
        .start()
        .unwrap()
}

/// The collector closes the books of all epochs: nothing is left over, and its rows are what was sent.
#[test]
fn the_books_of_killed_and_next_epochs_close_exactly() {
    let room = Room::new(1, 1500);
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let mounted = tempfile::tempdir().unwrap();
    let bpf = BpfFs::mount(mounted.path().join("bpf"));
    let (sent, ledger) = in_network(room.right.name(), || {
        let collector = Collector::start(&room.path("store"), None, &["-i", BUS]);
        let mut sent = 0;
        let mut probe = on_a_bus(&room, (place.path(), &bpf));
        for round in 0..2 {
            probe.wait_for_line("ready:", BOUND).unwrap();
            sent += number(&room.send(&format!("{ELEPHANTS} --seed {round}")), "/arrived/packets");
            probe.kill().unwrap();
            // One that is killed while it exports what the first left.
            let mut second = on_a_bus(&room, (place.path(), &bpf));
            second.wait_for_line("in the place of a killed probe's", BOUND).unwrap();
            second.kill().unwrap();
            probe = on_a_bus(&room, (place.path(), &bpf));
            probe.wait_for_line(DONE, BOUND).unwrap();
        }
        room.stop(probe).assert_balanced("the last one");
        let (code, ledger) = collector.check();
        assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{ledger:#}");
        (sent, ledger)
    })
    .unwrap();
    assert_eq!([&ledger["residual"]["packets"], &ledger["residual"]["octets"]], [0, 0], "{ledger:#}");
    let epochs = ledger["epochs"].as_array().unwrap();
    let all = |pointer: &str| {
        let of = |epoch: &Value| epoch.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        epochs.iter().map(of).sum::<u64>()
    };
    assert_eq!(all("/total/seen/packets"), sent, "{ledger:#}");
    let not_stored = all("/total/excepted/passed.no_socket") + all("/total/lost/lost_in_rings");
    assert_eq!(all("/total/stored/packets") + not_stored, sent, "{ledger:#}");
    assert!(all("/total/recovered/packets") > sent / 2, "{ledger:#}");
    assert_eq!(all("/total/lost/lost_at_crash"), 0, "{ledger:#}");
}
