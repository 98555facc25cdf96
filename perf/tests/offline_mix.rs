//! A traffic mix in a capture file: what `gannet-replay` says of it, what the probe makes of it, what others see in it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod oracle;

use std::path::Path;
use std::time::Duration;

use oracle::agree::agree;
use perf::flows::{self, Flows};
use perf::process::Program;
use serde_json::Value;
use tempfile::TempDir;

const BOUND: Duration = Duration::from_secs(60);

fn run(program: &str, arguments: &str, files: &[(&str, &Path)]) {
    let mut program = Program::ours(program).unwrap().args(arguments.split_whitespace());
    for (option, path) in files {
        program = program.args([Path::new(option), path]);
    }
    let finished = program.run(BOUND).unwrap();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
}

fn read(path: &Path) -> Flows {
    flows::read(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Writes a mix to `mix.pcap` of the folder; gives the truth.
fn written(folder: &TempDir, arguments: &str) -> Flows {
    let [out, truth] = ["mix.pcap", "truth"].map(|name| folder.path().join(name));
    run("gannet-replay", &format!("write --mix {arguments}"), &[("--out", &out), ("--truth", &truth)]);
    read(&truth)
}

/// The probe's records of `mix.pcap`, summed, and its books.
fn metered(folder: &TempDir, arguments: &str) -> (Flows, Value) {
    let [capture, found, ledger] = ["mix.pcap", "flows", "ledger"].map(|name| folder.path().join(name));
    run("gannet-probe", arguments, &[("-i", &capture), ("--flows", &found), ("--ledger", &ledger)]);
    (read(&found), serde_json::from_slice(&std::fs::read(ledger).unwrap()).unwrap())
}

#[test]
fn the_probes_records_of_each_key_add_up_to_the_truth() {
    let mixes = [
        "--flows 5000 --packets-max 2000 --seed 3",
        // Few hosts: keys are used again, while their last flow is open, in its linger, and after it.
        "--flows 5000 --packets-max 500 --clients 5 --servers 3 --flows-per-second 200 --frame-size imix --vlan 9",
        "--flows 3000 --sizes zipf --alpha 1.6 --packets-max 5000 --ipv6-share 50 --resets 60 --burstiness 10",
        "--flows 500 --loops 4 --sizes fixed --packets-per-flow 9 --transports tcp=1,icmp=1 --duration 20",
    ];
    for mix in mixes {
        let folder = tempfile::tempdir().unwrap();
        let truth = written(&folder, mix);
        for timeouts in ["-t 120 -d 30", "-t 2 -d 1"] {
            let (found, ledger) = metered(&folder, timeouts);
            assert_eq!(flows::differences(&truth, &found), Vec::<String>::new(), "{mix} {timeouts}");
            let total = &ledger["total"];
            assert_eq!(total["seen"]["packets"], flows::total(&truth).packets, "{mix} {timeouts}");
            assert_eq!(total["residual"], 0, "{mix} {timeouts}");
        }
    }
}

#[test]
fn independent_tools_agree_with_the_probe_on_a_mix() {
    let folder = tempfile::tempdir().unwrap();
    let truth =
        written(&folder, "--flows 1500 --packets-max 300 --frame-size imix --ipv6-share 30 --clients 300");
    let report = agree(&folder.path().join("mix.pcap"));
    assert_eq!(report.unpredicted, Vec::<String>::new());
    assert_eq!(report.packets, flows::total(&truth).packets);
    assert!(report.records >= truth.len(), "{report:?}");
    assert!(report.excepted.is_empty(), "{:?}", report.excepted);
}

#[test]
fn one_seed_gives_the_same_file_and_a_rate_other_times_only() {
    let file = |arguments: &str| {
        let folder = tempfile::tempdir().unwrap();
        written(&folder, arguments);
        std::fs::read(folder.path().join("mix.pcap")).unwrap()
    };
    let one = file("--flows 300 --seed 5");
    assert!(one == file("--flows 300 --seed 5"), "the same seed gave another file");
    assert!(one != file("--flows 300 --seed 6"), "another seed gave the same file");
    let even = file("--flows 300 --seed 5 --rate 1000000");
    assert_eq!(even.len(), one.len());
    // Header of the file, first record, its header of 16 and its frame of 60: the second record's nanoseconds.
    assert_eq!(even[24 + 76 + 4..24 + 76 + 8], 1000_u32.to_le_bytes());
}

#[test]
fn what_does_not_go_together_is_wrong_usage() {
    for (arguments, words) in [
        ("--alpha 2", "--mix"),
        ("--mix --alpha 0", "--alpha 0: it must be from"),
        ("--mix --ipv6", "cannot be used with"),
        ("--mix --transports tcp=x", "none of tcp="),
        ("--mix --frame-size 59", "--frame-size 59: it must be from 60"),
        ("--frame-size imix", "add --mix"),
    ] {
        let finished = Program::ours("gannet-replay")
            .unwrap()
            .args(format!("write --out /dev/null {arguments}").split_whitespace())
            .run(BOUND)
            .unwrap();
        assert_eq!(finished.code(), 2, "{arguments}: {}", finished.stderr);
        assert!(finished.stderr.contains(words), "{arguments}: {}", finished.stderr);
    }
}
