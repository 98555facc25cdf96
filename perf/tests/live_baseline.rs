//! The bare receivers: each takes what comes in its window and loses nothing of paced traffic, and tells its time and place.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use perf::baseline::Report;
use perf::kernel::signal::Signal;
use perf::netns::{End, Netns, Wire};
use perf::process::Program;

const BOUND: Duration = Duration::from_secs(60);
const RATE: u64 = 20_000;

/// What `gannet-baseline` says of a second of paced traffic, and how many packets came from its begin to its end and beyond.
///
/// The device has a name that no earlier one had: the kernel takes a namespace down some time after it was removed, and
/// until then NAPI threads of that name are still there.
fn measured(turn: usize, arguments: &str) -> (Report, u64) {
    let [left, right] = ["baseline", "baseline"].map(|label| Netns::new(label).unwrap());
    let device = format!("gnb{}-{turn}", std::process::id());
    Wire::default().lay(End::new(&left, "out"), End::new(&right, &device)).unwrap();
    right.offload(&device, &["gro", "on"]).unwrap();
    right.run("sh", &["-c", &format!("echo 1 > /sys/class/net/{device}/threaded")]).unwrap();
    let receiver = Program::ours_in(&right, "examples/gannet-baseline").unwrap();
    let receiver = receiver.args(arguments.split_whitespace());
    let mut receiver = receiver.args(["-i", &device, "--seconds", "1", "--cpu", "0"]).start().unwrap();
    receiver.wait_for_line("ready:", BOUND).unwrap();
    let send = format!("send --interface out --flows 10 --rate {RATE} --seconds 30");
    let sender = Program::ours_in(&left, "gannet-replay").unwrap();
    let sender = sender.args(send.split_whitespace()).start().unwrap();
    let finished = receiver.wait(BOUND).unwrap();
    assert_eq!(finished.code(), 0, "{arguments}: {}", finished.stderr);
    let sent = sender.stop(Signal::Interrupt, BOUND).unwrap();
    let sent: serde_json::Value = serde_json::from_str(&sent.stdout).unwrap();
    (serde_json::from_str(&finished.stdout).unwrap(), sent["sent"]["packets"].as_u64().unwrap())
}

#[test]
fn a_bare_receiver_takes_what_comes_in_its_window() {
    for (turn, arguments) in ["drop", "xsk", "xsk --wait spin", "tpacket"].into_iter().enumerate() {
        let (report, sent) = measured(turn, arguments);
        // How many is the machine's affair; the warm-up's do not count.
        assert!((1..sent).contains(&report.packets), "{arguments}: {report:?} of {sent}");
        assert_eq!(report.octets, report.packets * 60, "{arguments}");
        let lost = report.drops.iter().filter(|(cause, _)| !cause.contains("explain"));
        assert_eq!(lost.map(|(_, count)| count).sum::<u64>(), 0, "{arguments}: {report:?}");
        assert!(report.napi_cpu_seconds.is_some_and(|seconds| seconds > 0.0), "{arguments}: {report:?}");
        assert_eq!(report.placement.receiver, "0", "{arguments}");
    }
}
