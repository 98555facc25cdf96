//! Scripts beside flows that come: what they see, and what they cannot do to anybody else.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support {
    pub(crate) mod collector;
    pub(crate) mod publisher;
    pub(crate) mod scripts;
}

use std::collections::BTreeSet;

use flow_wire::batch::Sealed;
use support::collector::{Collector, wait_until};
use support::publisher::{Publisher, batch};
use support::scripts::{Scripts, assert_accounted, counted, dropped, process_of, runs, signal};

/// Counts, for whom it asks.
const COUNT: &str = "
    local flows, octets = 0, 0
    return function(flow)
       flows, octets = flows + 1, octets + flow.octet_delta_count + flow.OUT_BYTES
       ntop.setCache('flows', flows)
       ntop.setCache('octets', octets)
    end";

/// Deaf to errors, so to the time limit as well.
const HANG: &str = "while true do pcall(function() while true do end end) end";

/// A probe's batches, with the books of them at the end.
struct Flows {
    publisher: Publisher,
    sent: Vec<Sealed>,
}

impl Flows {
    fn new() -> Self {
        Self { publisher: Publisher::bind(), sent: Vec::new() }
    }

    fn send(&mut self, batches: u64) {
        for _ in 0..batches {
            let batch = batch(self.sent.len() as u64);
            self.publisher.send(&batch);
            self.sent.push(batch);
        }
    }

    fn rows(&self) -> u64 {
        self.sent.len() as u64 * 10
    }

    /// All is stored, once.
    fn assert_exact(&self, collector: &Collector) {
        let sent: Vec<_> = self.sent.iter().collect();
        self.publisher.cut(0, sent.len() as u64, &sent, true);
        let ledger = collector.ask(&["ledger", "--check", "--wait", "30"]);
        assert_eq!(ledger["verdict"], "balanced", "{ledger}\n{}", collector.log());
        assert_eq!((collector.rows(), &ledger["lost"]["records"]), (self.rows(), &0.into()));
    }
}

#[test]
fn a_script_for_flows_sees_exactly_those_that_are_stored() {
    let tell = "print('told', ntop.getCache('flows'), ntop.getCache('octets'))";
    let scripts = Scripts::new(&[("flow/count.lua", COUNT), ("second.lua", tell)]);
    let mut flows = Flows::new();
    let collector = scripts.collect(&[&flows.publisher.url], &[]);
    flows.publisher.wait_for_subscriber();
    for _ in 0..5 {
        flows.send(20);
        // What the bus doubles is stored once, and told once.
        flows.publisher.send(&flows.sent[3]);
    }
    wait_until("all is stored", || collector.rows() == flows.rows());
    assert_eq!(assert_accounted(&collector, "flow/count.lua"), flows.rows());
    let octets: u64 =
        collector.ask(&["query", "top", "--by", "proto", "--measure", "octets"])["total"]["octets"]
            .as_u64()
            .unwrap();
    let told = format!("told\t{}\t{octets}", flows.rows());
    wait_until("the other script tells the same of them", || collector.log().contains(&told));
    assert_eq!(runs(&collector, "flow/count.lua", "error"), 0);
    assert_eq!(collector.stop(), Some(0));
}

#[test]
fn a_script_that_hangs_is_killed_again_and_again_and_ingest_stays_exact() {
    let hang = format!("return function(flow) {HANG} end");
    let files = [("flow/hang.lua", &*hang), ("flow/count.lua", COUNT), ("second/hang.lua", HANG)];
    let scripts = Scripts::new(&files);
    let mut flows = Flows::new();
    let collector = scripts.collect(&[&flows.publisher.url], &["--script-time-limit", "1s"]);
    flows.publisher.wait_for_subscriber();
    let mut slowest = std::time::Duration::ZERO;
    wait_until("each was killed twice", || {
        flows.send(1);
        let begun = std::time::Instant::now();
        wait_until("what came is stored", || collector.rows() == flows.rows());
        slowest = slowest.max(begun.elapsed());
        ["flow/hang.lua", "second/hang.lua"].iter().all(|script| runs(&collector, script, "killed_time") >= 2)
    });
    assert!(slowest.as_secs() < 10, "a batch took {slowest:?} to its row");
    assert_eq!(assert_accounted(&collector, "flow/count.lua"), flows.rows());
    assert_eq!(assert_accounted(&collector, "flow/hang.lua"), 0);
    assert_eq!(dropped(&collector, "flow/hang.lua", "process_ended"), flows.rows());
    assert!(
        collector.log().contains("did not stop: its process was killed; it rests for 2s"),
        "{}",
        collector.log()
    );
    flows.assert_exact(&collector);
    assert_eq!(collector.stop(), Some(0));
}

#[test]
fn a_loop_without_end_is_an_error_and_costs_the_batch_alone() {
    let scripts = Scripts::new(&[("flow.lua", "return function(flow) while true do end end")]);
    let mut flows = Flows::new();
    let collector = scripts.collect(&[&flows.publisher.url], &["--script-time-limit", "1s"]);
    flows.publisher.wait_for_subscriber();
    flows.send(2);
    wait_until("all is stored", || collector.rows() == flows.rows());
    assert_eq!(assert_accounted(&collector, "flow.lua"), 2, "one flow of each batch was given to it");
    assert_eq!((runs(&collector, "flow.lua", "error"), runs(&collector, "flow.lua", "killed_time")), (2, 0));
    assert!(
        collector.log().contains("flow.lua:1: it took longer than --script-time-limit"),
        "{}",
        collector.log()
    );
    flows.assert_exact(&collector);
}

#[test]
fn one_that_eats_memory_gets_an_error_and_nobody_else_notices() {
    let eat = "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end";
    let again = format!(
        "for _ = 1, 3 do pcall(function() {eat} end) end error('ate ' .. collectgarbage('count') // 1024)"
    );
    let scripts =
        Scripts::new(&[("second/eat.lua", eat), ("second/again.lua", &again), ("flow/count.lua", COUNT)]);
    let mut flows = Flows::new();
    let collector = scripts.collect(&[&flows.publisher.url], &["--script-memory-limit", "8"]);
    flows.publisher.wait_for_subscriber();
    wait_until("both have come to their end twice", || {
        flows.send(1);
        ["second/eat.lua", "second/again.lua"].iter().all(|script| runs(&collector, script, "error") >= 2)
    });
    let log = collector.log();
    assert!(log.contains("second/eat.lua: not enough memory"), "{log}");
    assert!(log.contains("second/again.lua: second/again.lua:1: ate "), "{log}");
    assert_eq!(runs(&collector, "second/eat.lua", "ended"), 0);
    let id = process_of(&collector, "second/eat.lua").unwrap();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    let peak: u64 = peak.trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 128 << 10, "{peak} kB");
    wait_until("all is stored", || collector.rows() == flows.rows());
    assert_eq!(assert_accounted(&collector, "flow/count.lua"), flows.rows());
    flows.assert_exact(&collector);
}

#[test]
fn a_process_that_is_killed_comes_again_and_no_flow_comes_twice() {
    let scripts = Scripts::new(&[("flow/count.lua", COUNT), ("flow/other.lua", COUNT)]);
    let mut flows = Flows::new();
    let collector = scripts.collect(&[&flows.publisher.url], &[]);
    flows.publisher.wait_for_subscriber();
    let mut killed = BTreeSet::new();
    for name in ["KILL", "ABRT", "KILL"] {
        flows.send(3);
        wait_until("its process is there", || {
            process_of(&collector, "flow/count.lua").is_some_and(|id| !killed.contains(&id))
        });
        let id = process_of(&collector, "flow/count.lua").unwrap();
        signal(name, id);
        killed.insert(id);
        wait_until("its end is noticed", || {
            runs(&collector, "flow/count.lua", "ended") == killed.len() as u64
        });
    }
    flows.send(3);
    wait_until("all is stored", || collector.rows() == flows.rows());
    let seen = assert_accounted(&collector, "flow/count.lua");
    let lost = dropped(&collector, "flow/count.lua", "process_ended");
    assert_eq!(seen + lost, flows.rows());
    assert_eq!(counted(&collector, "starts", "flow/count.lua", ""), 4);
    assert_eq!(assert_accounted(&collector, "flow/other.lua"), flows.rows());
    assert!(collector.log().contains("its process ended: signal 9; it rests for"), "{}", collector.log());
    flows.assert_exact(&collector);
    assert_eq!(collector.stop(), Some(0));
    assert_eq!(killed.len(), 3);
}

#[test]
fn what_a_slow_script_has_no_room_for_is_dropped_and_counted_to_the_last_flow() {
    let slow = "return function(flow) ntop.msleep(20) end";
    let scripts = Scripts::new(&[("flow/slow.lua", slow), ("flow/count.lua", COUNT)]);
    let mut flows = Flows::new();
    let collector = scripts.collect(&[&flows.publisher.url], &["--script-queue", "1"]);
    flows.publisher.wait_for_subscriber();
    // A batch of ten has some 5 kB: 1 MB is full after 200.
    for _ in 0..4 {
        flows.send(100);
        wait_until("all is stored", || collector.rows() == flows.rows());
        wait_until("one has seen it", || {
            counted(&collector, "seen_flows", "flow/count.lua", "") == flows.rows()
        });
    }
    wait_until("all is offered", || {
        counted(&collector, "offered_flows", "flow/slow.lua", "") == flows.rows()
    });
    assert!(dropped(&collector, "flow/slow.lua", "queue_full") > 0);
    assert_eq!(assert_accounted(&collector, "flow/count.lua"), flows.rows());
    flows.assert_exact(&collector);
    let store = scripts.beside("store.log");
    let begun = std::time::Instant::now();
    assert_eq!(collector.stop(), Some(0));
    assert!(begun.elapsed().as_secs() < 10, "the stop took {:?}", begun.elapsed());
    // Its last word has every flow in it.
    let log = std::fs::read_to_string(store).unwrap();
    let said = log.lines().find(|line| line.contains("script flow/slow.lua: of ")).unwrap();
    let said = said.split("script flow/slow.lua:").nth(1).unwrap();
    let numbers: Vec<u64> =
        said.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    assert_eq!((numbers[0], numbers[1..].iter().sum::<u64>()), (flows.rows(), flows.rows()), "{said}");
    assert!(said.contains(" stopped") && numbers[1] > 0 && *numbers.last().unwrap() > 0, "{said}");
}

#[test]
fn a_script_with_an_error_is_told_and_taken_anew_once_it_is_mended() {
    let scripts = Scripts::new(&[
        ("flow/typo.lua", "retrun 1"),
        ("flow/none.lua", "x = 1"),
        ("second.lua", "nowhere()"),
    ]);
    let mut flows = Flows::new();
    let collector = scripts.collect(&[&flows.publisher.url], &[]);
    flows.publisher.wait_for_subscriber();
    flows.send(1);
    wait_until("all is stored", || collector.rows() == flows.rows());
    for (script, words) in [
        ("flow/typo.lua", "flow/typo.lua:1: syntax error"),
        ("flow/none.lua", "it returns neither a function nor"),
    ] {
        assert_eq!(assert_accounted(&collector, script), 0);
        assert_eq!(dropped(&collector, script, "not_loaded"), 10);
        assert!(collector.log().contains(words), "{}", collector.log());
    }
    wait_until("the other one's error is told", || {
        collector.log().contains("second.lua:1: attempt to call a nil value (global 'nowhere')")
    });
    scripts.write("flow/typo.lua", "return { hooks = { flowEnd = function(flow) assert(flow.IPV4_SRC_ADDR or flow.IPV6_SRC_ADDR) end } }");
    flows.send(1);
    wait_until("all is stored", || collector.rows() == flows.rows());
    assert_eq!(assert_accounted(&collector, "flow/typo.lua"), 10);
    assert_eq!(runs(&collector, "flow/typo.lua", "ok"), 1);
}

#[test]
fn periodic_scripts_run_at_their_times() {
    let scripts =
        Scripts::new(&[("second.lua", "print('at', ntop.gettimemsec())"), ("daily.lua", "print('daily')")]);
    let collector = scripts.collect(&["zmq://127.0.0.1:9"], &[]);
    let times = || -> Vec<f64> {
        let log = collector.log();
        log.lines().filter_map(|line| line.split("second.lua: at\t").nth(1)?.parse().ok()).collect()
    };
    wait_until("it ran five times", || times().len() >= 5);
    let times = times();
    for pair in times.windows(2) {
        let apart = pair[1].floor() - pair[0].floor();
        assert!(apart >= 1.0, "twice in a second: {times:?}");
    }
    // The machine does other things as well: most, not all, come within half a second of the full one.
    let in_time = times.iter().filter(|time| time.fract() < 0.5).count();
    assert!(in_time * 2 > times.len(), "{times:?}");
    let (ok, missed) = (runs(&collector, "second.lua", "ok"), runs(&collector, "second.lua", "missed"));
    let span = times[times.len() - 1].floor() - times[0].floor() + 1.0;
    assert!((ok + missed) as f64 >= span, "{ok} runs and {missed} missed in {span} s");
    // One, should it be midnight.
    assert!(runs(&collector, "daily.lua", "ok") <= 1);
}

#[test]
fn a_script_reaches_no_file_no_program_and_nobody_outside_of_the_list() {
    let look = "
        local taken = {}
        for _, name in ipairs{'load', 'loadstring', 'loadfile', 'dofile', 'debug'} do
           if _G[name] ~= nil then taken[#taken + 1] = name end
        end
        for _, name in ipairs{'execute', 'remove', 'rename', 'exit', 'getenv', 'tmpname'} do
           if os[name] ~= nil then taken[#taken + 1] = name end
        end
        if io.open or io.popen or string.dump or package.loadlib or package.searchers then taken[#taken + 1] = 'more' end
        print('left over', #taken)
        print('inside', require('names').of(6), require('names') == require('names'))
        for _, name in ipairs{'../outside', '/etc/passwd', 'nowhere'} do
           print('module', name, pcall(require, name))
        end
        print('bytecode', pcall(require, 'bytes'))
        print('web', ntop.httpGet('http://127.0.0.1:1/'))
        print('kafka', ntop.sendKafkaMessage('127.0.0.1:1;t;', 'x'))
        print('web', ntop.httpGet('file:///etc/passwd'))";
    let names = "return { of = function(number) return ({[6] = 'tcp'})[number] end }";
    let files = [
        ("second.lua", look),
        ("modules/names.lua", names),
        ("bytes.lua", "\x1bLua"),
        ("../outside.lua", "return 1"),
    ];
    let scripts = Scripts::new(&files);
    let collector = scripts.collect(&["zmq://127.0.0.1:9"], &["--script-allow", "localhost:80"]);
    wait_until("it has looked", || runs(&collector, "second.lua", "ok") > 0);
    let log = collector.log();
    let expected = [
        "left over\t0",
        "inside\ttcp\ttrue",
        "module\t../outside\tfalse",
        "module\t/etc/passwd\tfalse",
        "module\tnowhere\tfalse",
        "bytecode\tfalse",
        "web\tnil\t--script-allow does not name 127.0.0.1:1",
        "kafka\tfalse\t--script-allow does not name 127.0.0.1:1",
        "web\tnil\t'file:///etc/passwd' begins with neither http:// nor https://",
    ];
    for words in expected {
        assert!(log.contains(words), "{words}: {log}");
    }
    let id = process_of(&collector, "second.lua").unwrap();
    let file = |name: &str| std::fs::read_to_string(format!("/proc/{id}/{name}")).unwrap();
    let status = file("status");
    assert!(
        status.contains("NoNewPrivs:\t1\n") && status.contains("CapEff:\t0000000000000000\n"),
        "{status}"
    );
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    if own.contains("Uid:\t0\t") {
        assert!(
            status.contains("Uid:\t65534\t65534\t65534\t65534\n") && status.contains("Groups:\t \n"),
            "{status}"
        );
    }
    assert!(
        file("limits").lines().any(|line| line.starts_with("Max data size             603979776 ")),
        "{}",
        file("limits")
    );
}

#[test]
fn a_stop_waits_for_no_script() {
    let wait = "return function(flow) ntop.msleep(300000) end";
    let scripts = Scripts::new(&[("second.lua", HANG), ("flow/wait.lua", wait), ("flow/count.lua", COUNT)]);
    let mut flows = Flows::new();
    let collector = scripts.collect(&[&flows.publisher.url], &["--script-time-limit", "300s"]);
    flows.publisher.wait_for_subscriber();
    flows.send(5);
    wait_until("all is stored", || collector.rows() == flows.rows());
    assert_eq!(assert_accounted(&collector, "flow/count.lua"), flows.rows());
    wait_until("both hang", || {
        ["second.lua", "flow/wait.lua"].iter().all(|script| process_of(&collector, script).is_some())
    });
    flows.assert_exact(&collector);
    let begun = std::time::Instant::now();
    let log = scripts.beside("store.log");
    assert_eq!(collector.stop(), Some(0));
    assert!(begun.elapsed().as_secs() < 8, "the stop took {:?}", begun.elapsed());
    let log = std::fs::read_to_string(log).unwrap();
    let all_stopped = "script flow/wait.lua: of 50 flows offered 0 seen, dropped: 0 queue_full, 0 process_ended, 0 time_limit, 0 \
                       not_loaded, 50 stopped";
    assert!(log.contains(all_stopped), "{log}");
    assert!(log.contains("flow/count.lua: of 50 flows offered 50 seen"), "{log}");
}

#[test]
fn a_process_ends_with_its_collector_even_in_a_loop() {
    let scripts = Scripts::new(&[("second.lua", HANG)]);
    let collector = scripts.collect(&["zmq://127.0.0.1:9"], &["--script-time-limit", "300s"]);
    wait_until("it loops", || process_of(&collector, "second.lua").is_some());
    let id = process_of(&collector, "second.lua").unwrap();
    let its = std::path::PathBuf::from(format!("/proc/{id}/cmdline"));
    collector.kill();
    // A process that nobody has waited for yet has no words.
    wait_until("it is gone", || std::fs::read(&its).map_or(true, |words| words.is_empty()));
}
