//! What people and service managers see of a running probe.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use live::{BOUND, Room, STOP_BOUND};
use perf::kernel::signal::Signal;
use perf::kernel::thread::in_network;
use perf::process::{Program, Running};
use perf::wait::{wait_for, wait_until};

/// The page of a probe with `--http`.
fn metrics(room: &Room, probe: &Running) -> String {
    let said = probe.stderr();
    let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let connect = in_network(room.right.name(), || TcpStream::connect(address));
    let mut connection = connect.unwrap().unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).unwrap();
    page
}

#[test]
fn stages_of_a_worker_have_their_times_in_the_metrics_and_where_asked_in_a_table() {
    const PARTS: [&str; 4] = ["receive", "process", "hand_over", "expire"];
    let room = Room::new(1, 1500);
    let probe = room.probe("--capture xdp --http 127.0.0.1:0 --stage-times");
    room.send("--flows 500 --packets-per-flow 100 --rate 50000");
    let count = |page: &str, stage: &str| {
        let line = format!("probe_worker_stage_seconds_count{{worker=\"0\",stage=\"{stage}\"}} ");
        let count = page.lines().find_map(|found| found.strip_prefix(&line))?;
        count.parse::<u64>().ok()
    };
    // A cut of after the last packet: two of them, and all batches are sealed.
    let done = || metrics(&room, &probe).contains("probe_worker_metered_packets_total{worker=\"0\"} 50000");
    wait_until("all packets", BOUND, done).unwrap();
    let page = metrics(&room, &probe);
    let turns = count(&page, "turn").unwrap();
    assert!(turns >= 50_000 / 64, "{turns} turns\n{page}");
    for part in PARTS {
        // One turn in sixteen, idle ones among them, and each has all parts.
        let times = count(&page, part).unwrap();
        assert!((1..=turns).contains(&times), "{part}: {times} of {turns}");
    }
    let books = room.stop(probe);
    books.assert_balanced("--stage-times");
    let said = &books.finished.stderr;
    for stage in ["stage ", "turn ", "cut ", "sleep ", "seal "].into_iter().chain(PARTS) {
        assert!(said.lines().any(|line| line.starts_with(stage)), "{stage} in\n{said}");
    }
}

#[test]
fn metrics_are_those_of_the_books() {
    let room = Room::new(1, 1500);
    let probe = room.probe("--capture xdp --http 127.0.0.1:0");
    room.send("--by packet-socket --flows 20");
    let get = || metrics(&room, &probe);
    let line = "probe_worker_metered_packets_total{worker=\"0\"} 200";
    wait_until(line, BOUND, || get().lines().any(|found| found == line)).unwrap();
    let page = get();
    for name in
        ["probe_source_seen_packets_total", "probe_flow_open_flows", "probe_export_sealed_records_total"]
    {
        assert!(page.contains(name), "{name} in\n{page}");
    }
    room.stop(probe).assert_balanced("--http");
}

#[test]
fn a_terminal_shows_a_line_a_second_and_a_summary() {
    let room = Room::new(1, 1500);
    let binary = perf::process::path("gannet-probe").unwrap();
    // script(1) gives it a terminal, and its own standard output has what the terminal shows.
    let line = format!("{} -i in", binary.display());
    let command = room.right.command("script");
    let mut terminal =
        Program::foreign("script", command).args(["-qec", &line, "/dev/null"]).start().unwrap();
    terminal.wait_for_line("ready:", BOUND).unwrap();
    room.send("--by packet-socket --flows 20 --seconds 3 --rate 1000");
    let shown = terminal.wait_for_line("flows open", BOUND).unwrap();
    assert!(shown.contains("pps") && shown.contains("bps") && shown.contains("lost 0"), "{shown}");
    let pids = room
        .right
        .run("pgrep", &["-x", "gannet-probe", "--ns", &terminal.pid().to_string(), "--nslist", "net"]);
    let pid = pids.unwrap().lines().next().unwrap().to_owned();
    room.right.run("kill", &["-INT", &pid]).unwrap();
    let finished = terminal.wait(STOP_BOUND).unwrap();
    for words in ["seen ", "metered ", "residual   0"] {
        assert!(finished.stdout.contains(words), "{words:?} in\n{}", finished.stdout);
    }
}

#[test]
fn the_service_manager_hears_of_start_life_and_stop() {
    let room = Room::new(1, 1500);
    // The probe speaks to it as nobody.
    fs::set_permissions(room.folder.path(), Permissions::from_mode(0o755)).unwrap();
    let path = room.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    // The service manager names the process that the watchdog is for.
    let binary = perf::process::path("gannet-probe").unwrap();
    let line = format!("WATCHDOG_PID=$$ exec {} -i in --capture xdp", binary.display());
    let mut probe = Program::foreign("gannet-probe", room.right.command("sh"))
        .args(["-c", &line])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "500000")
        .start()
        .unwrap();
    let hear = |words: &str| {
        let heard = wait_for(words, BOUND, || {
            let mut octets = [0; 4096];
            let count = socket.recv(&mut octets).unwrap();
            let text = String::from_utf8_lossy(&octets[..count]).into_owned();
            text.lines().any(|line| line.starts_with(words)).then_some(text)
        });
        heard.unwrap()
    };
    assert!(hear("READY=1").contains("STATUS=metering in"));
    probe.wait_for_line("ready:", BOUND).unwrap();
    hear("STATUS=0 pps, 0 bps");
    hear("WATCHDOG=1");
    assert!(!probe.ended());
    probe.signal(Signal::Terminate);
    hear("STOPPING=1");
    assert_eq!(probe.wait(STOP_BOUND).unwrap().code(), 0);
}

#[test]
fn a_configuration_is_checked_without_a_run() {
    let room = Room::new(4, 1500);
    let file = room.path("probe.toml");
    fs::write(
        &file,
        "interface = [\"in\"]\nqueues = \"1-2\"\nworkers = 2\nntopng = [\"zmq://127.0.0.1:5556\"]\n",
    )
    .unwrap();
    let check = |arguments: &[&str]| {
        let probe = Program::ours_in(&room.right, "gannet-probe").unwrap();
        probe.args(["--check-config", "--config"]).args([&file]).args(arguments).run(BOUND).unwrap()
    };
    let good = check(&[]);
    assert_eq!(good.code(), 0, "{}", good.stderr);
    for words in ["in by AF_XDP, queues [1, 2]", "zmq://127.0.0.1:5556, topics gannet.*"] {
        assert!(good.stdout.contains(words), "{words:?} in\n{}", good.stdout);
    }
    let bad = check(&["--queues", "7"]);
    assert_eq!(bad.code(), 2);
    assert!(bad.stderr.contains("--queues 7") && bad.stderr.contains("0 to 3"), "{}", bad.stderr);
    for (arguments, names) in [
        (["--user", "nobody-here"], "nobody-here"),
        (["--zmq-clients", "/nowhere/clients"], "/nowhere/clients"),
    ] {
        let bad = check(&arguments);
        assert!(bad.code() != 0 && bad.stderr.contains(names), "{}", bad.stderr);
    }
    let unknown = check(&["-i", "eth9"]);
    assert_eq!(unknown.code(), 2);
    assert!(unknown.stderr.contains("-i eth9") && unknown.stderr.contains("in"), "{}", unknown.stderr);
}
