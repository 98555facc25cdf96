//! The parties of a run, and what an event does to them.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use flow_wire::fault::MUTANT_VARIABLE;
use perf::kernel::{signal::Signal, thread};
use perf::netns::Netns;
use perf::process::{self, Program};
use serde_json::Value;

use super::excuse::Excuses;
use super::oracle;
use super::party::{END_BOUND, Party, wait};
use super::schedule::{Event, What, Whom};
use super::site::{PROBE, Site};
use super::traffic::{Sent, Traffic};
use super::{Broken, Bus, Settings, broker};

/// Time-outs so short that records flow all the time, but that flows are still open after [`REST`]; and a cache that a small disk
/// holds twice.
const FLOWS: [&str; 6] = ["-d", "2", "-t", "3", "-M", "10000"];

/// Long enough that everything is metered that was sent before, on a busy machine.
const REST: Duration = Duration::from_secs(1);

/// A cold Java on a busy machine.
const BROKER_BOUND: Duration = Duration::from_secs(120);

/// A question to the collector, which may wait 60 s itself.
const ANSWER_BOUND: Duration = Duration::from_secs(120);

/// Until everything that was sent is stored, where no probe was killed.
const STORED_BOUND: Duration = Duration::from_secs(60);

/// Stops of the probe until its spool is empty. Each gives the bus some seconds; a broker gives a dead producer up after 15 s, and a
/// client waits up to 10 s before it looks for a broker again.
const STOPS_MAX: u32 = 20;

/// Where the collector answers, in its own namespace.
pub(crate) const HTTP: &str = "127.0.0.1:3000";

/// The log of sealed batches.
const SEALED: &str = "sealed";

pub(crate) struct Cast {
    pub(crate) site: Site,
    pub(crate) probe: Party,
    pub(crate) broker: Option<Party>,
    pub(crate) collector: Party,
    pub(crate) excuses: Excuses,
    /// Since when the probe stands still.
    stands: Option<Instant>,
    /// How long what was sent may take.
    patience: Duration,
}

/// What the collector's check said at the end.
pub(crate) struct Books {
    pub(crate) code: i32,
    pub(crate) ledger: Value,
    /// What did not come to its end.
    pub(crate) failures: Vec<String>,
}

impl Books {
    /// A term of all epochs together; what never happened is not there.
    pub(crate) fn total(&self, of: impl Fn(&Value) -> &Value) -> u64 {
        let epochs = self.ledger["epochs"].as_array().into_iter().flatten();
        epochs.map(|epoch| of(&epoch["total"]).as_u64().unwrap_or(0)).sum()
    }
}

impl Cast {
    pub(crate) fn new(settings: &Settings) -> Self {
        let site = Site::new();
        let zmq = format!("zmq://{PROBE}:5556");
        let urls = match settings.bus {
            Bus::Kafka => vec![broker::url()],
            Bus::Zmq => vec![zmq],
            Bus::Both => vec![broker::url(), zmq],
        };
        let broker = (settings.bus != Bus::Zmq).then(|| broker_of(&site));
        // What is broken may never store it.
        let patience = if settings.broken.is_some() { Duration::ZERO } else { STORED_BOUND };
        let probe = probe_of(&site, &urls, settings);
        let collector = collector_of(&site, &urls, settings);
        let (excuses, stands) = Default::default();
        Self { site, probe, broker, collector, excuses, stands, patience }
    }

    /// Everybody, in the order in which they need each other; the probe meters when this is over.
    pub(crate) fn start_all(&mut self) {
        self.bring_up_broker().unwrap();
        self.collector.start();
        self.collector.wait_until_ready();
        self.probe.start();
        self.probe.wait_until_ready();
    }

    /// Until it takes connections; one that is still ending is started once it has.
    fn bring_up_broker(&mut self) -> Result<(), String> {
        let (Some(broker), namespace) = (&mut self.broker, &self.site.broker) else { return Ok(()) };
        wait("the broker takes connections", BROKER_BOUND, || {
            broker.start();
            reaches_broker(namespace)
        })
    }

    fn party(&mut self, whom: Whom) -> Option<&mut Party> {
        match whom {
            Whom::Probe => Some(&mut self.probe),
            Whom::Broker => self.broker.as_mut(),
            Whom::Collector => Some(&mut self.collector),
        }
    }

    /// A probe that is told to stop has metered all that was sent until then: nothing is sent while nobody listens. The same holds of a
    /// kill at rest.
    pub(crate) fn begin(&mut self, event: &Event, traffic: &Traffic) {
        if rests(event) {
            traffic.rest();
        }
        match event.what {
            What::Fill => {
                if event.whom == Whom::Broker {
                    self.bring_up_to_be_filled();
                }
                return self.site.disk_mut(event.whom).fill();
            }
            What::Cut => return self.site.link(event.whom, "down"),
            // Not for the sake of a condition: how long nothing was sent is what this event is.
            What::KillAtRest => std::thread::sleep(REST),
            What::Pause if event.whom == Whom::Probe => self.stands = Some(Instant::now()),
            What::Kill | What::Stop | What::Pause => {}
        }
        let moment = Instant::now();
        let Some(party) = self.party(event.whom) else { return };
        match event.what {
            What::Kill | What::KillAtRest => party.kill(),
            What::Stop => party.signal(Signal::Terminate),
            _ => party.signal(Signal::Stop),
        }
        match (event.whom, event.what) {
            (Whom::Probe, What::Kill) => self.excuses.killed(moment, &oracle::read(&self.sealed())),
            (Whom::Probe, What::KillAtRest) => self.excuses.killed_at_rest(&oracle::read(&self.sealed())),
            _ => {}
        }
    }

    /// A start of the broker on a full disk is no part of a run: Kafka then finds an invalid offset, and deletes the log that it recovers, its
    /// metadata too.
    fn bring_up_to_be_filled(&mut self) {
        let failed = self.bring_up_broker().err();
        if let Some(broker) = &mut self.broker {
            broker.deaths.extend(failed);
            // Java ends where its disk has no room, and takes its time for it.
            broker.may_end = true;
        }
    }

    pub(crate) fn mend(&mut self, event: &Event, traffic: &Traffic) {
        self.end(event);
        if rests(event) {
            self.probe.wait_until_ready();
            traffic.go_on();
        }
    }

    fn end(&mut self, event: &Event) {
        match (event.whom, event.what) {
            (whom, What::Cut) => return self.site.link(whom, "up"),
            (whom, What::Fill) => self.site.disk_mut(whom).free(),
            (Whom::Probe, What::Pause) => {
                self.stands.take().into_iter().for_each(|since| self.excuses.stood_still(since));
            }
            _ => {}
        }
        let Some(party) = self.party(event.whom) else { return };
        match event.what {
            What::Pause => return party.signal(Signal::Continue),
            What::Stop => {
                let wrong = party.wait_for_the_end();
                // Java ends with the signal's number.
                party.deaths.extend(wrong.filter(|_| event.whom != Whom::Broker));
            }
            _ => drop(party.notice_the_end()),
        }
        if (event.whom, event.what) == (Whom::Probe, What::Stop) {
            self.excuses.stopped(&oracle::read(&self.sealed()));
        }
        if let Some(party) = self.party(event.whom) {
            party.start();
        }
    }

    /// The log of sealed batches.
    pub(crate) fn sealed(&self) -> PathBuf {
        self.site.file(SEALED)
    }

    /// The barrier: everybody is well and runs; the probe is stopped, and started again until its spool is empty; the collector has read
    /// everything.
    pub(crate) fn drain(&mut self, sent: &Sent) -> Books {
        let mut failures = Vec::new();
        failures.extend(self.bring_up_broker().err());
        self.collector.start();
        self.collector.wait_until_ready();
        if self.excuses.is_empty() {
            // Where something is lost all the same this does not come, and the verdict says what.
            drop(wait("all packets are stored", self.patience, || self.stored_packets() >= sent.packets()));
        }
        failures.extend((0..STOPS_MAX).find_map(|_| self.stop_probe().err()));
        failures.extend(self.left_in_spool().map(|left| format!("not sent after {STOPS_MAX} stops: {left}")));
        let (code, ledger) = self.ask(&["ledger", "--check", "--wait", "60", "--format", "json"]);
        self.collector.signal(Signal::Terminate);
        failures.extend(self.collector.wait_for_the_end());
        if let Some(broker) = &mut self.broker {
            broker.kill();
        }
        Books { code, ledger, failures }
    }

    /// Starts the probe where it does not run, and stops it; once its spool is empty there is nothing more to do.
    fn stop_probe(&mut self) -> Result<(), String> {
        if !self.probe.starts.is_empty() && !self.probe.notice_the_end() && self.left_in_spool().is_none() {
            return Ok(());
        }
        self.probe.start();
        self.probe.wait_until_ready();
        self.probe.signal(Signal::Terminate);
        self.probe.wait_for_the_end().map_or(Ok(()), Err)
    }

    /// What still waits in the spool of a probe that ended, in the words of `gannet-probe spool list`.
    fn left_in_spool(&self) -> Option<String> {
        let program = Program::ours("gannet-probe").unwrap().args(["spool", "list", "--state-dir"]);
        let finished = program.args([self.state()]).run(END_BOUND).unwrap();
        let waits = |line: &&str| line.contains(" batches wait") && !line.contains(" in 0 batches wait");
        finished.stdout.lines().find(waits).map(str::to_owned)
    }

    fn stored_packets(&self) -> u64 {
        let (_, answer) = self.ask(&["query", "top", "--measure", "packets", "--format", "json"]);
        answer["total"]["packets"].as_u64().unwrap_or(0)
    }

    fn state(&self) -> PathBuf {
        self.site.disk(Whom::Probe).path().join("state")
    }

    /// Leaves what everybody said and wrote for people to look at.
    pub(crate) fn keep(&mut self) -> PathBuf {
        let parties = [
            ("probe", Some(&self.probe)),
            ("broker", self.broker.as_ref()),
            ("collector", Some(&self.collector)),
        ];
        for (name, party) in parties {
            let said = party.map(Party::said).unwrap_or_default();
            std::fs::write(self.site.file(&format!("{name}.said")), said).unwrap();
        }
        self.site.keep()
    }

    /// A question to the collector, and its answer.
    fn ask(&self, words: &[&str]) -> (i32, Value) {
        let program = Program::ours_in(&self.site.collector, "gannet-collector").unwrap();
        let finished = program.args(words).args(["--http", HTTP]).run(ANSWER_BOUND).unwrap();
        (finished.code(), serde_json::from_str(&finished.stdout).unwrap_or_default())
    }
}

/// Whether nothing is sent while it lasts.
fn rests(event: &Event) -> bool {
    event.whom == Whom::Probe && matches!(event.what, What::Stop | What::KillAtRest)
}

fn reaches_broker(namespace: &Netns) -> bool {
    let address: SocketAddr = broker::url()["kafka://".len()..].parse().expect("an address and a port");
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok();
    thread::in_network(namespace.name(), connect).unwrap_or(false)
}

fn broker_of(site: &Site) -> Party {
    let directory = site.disk(Whom::Broker).path().join("kafka");
    std::fs::create_dir(&directory).unwrap();
    broker::format(&directory);
    let command = in_namespace(&site.broker);
    Party::new("the broker", "Kafka Server started", move || broker::program(command(), &directory))
}

fn probe_of(site: &Site, urls: &[String], settings: &Settings) -> Party {
    // The collector is on another host. Beside Kafka it is a second way, on which things may get lost.
    let acknowledge: &[&str] = match settings.bus {
        Bus::Kafka => &[],
        Bus::Zmq => &["--zmq-acknowledge", "require"],
        Bus::Both => &["--zmq-acknowledge", "off"],
    };
    let (state, log, ledger) =
        (site.disk(Whom::Probe).path().join("state"), site.file(SEALED), site.file("ledger"));
    let (recovery, broken) = (site.memory.path().join("recovery"), settings.broken);
    let pins = site.pins.path().to_owned();
    let recovers = if broken == Some(Broken::NoRecovery) { ["--no-recovery"].as_slice() } else { &[] };
    // The probe gives up root before it seals.
    open_to_all(&log);
    let (namespace, outputs) = (in_namespace(&site.probe), each("--ntopng", urls));
    Party::new("the probe", "ready:", move || {
        ours("gannet-probe", namespace(), broken)
            .env("GANNET_SEALED_LOG", &log)
            .args(["-i", "in", "--capture", "xdp", "--workers", "2"])
            .args(&outputs)
            .args(FLOWS)
            .args(acknowledge)
            .args([Path::new("--state-dir"), &state, Path::new("--ledger"), &ledger])
            .args([Path::new("--recovery-dir"), &recovery, Path::new("--bpf-dir"), &pins])
            .args(recovers)
    })
}

fn collector_of(site: &Site, urls: &[String], settings: &Settings) -> Party {
    let broken = settings.broken;
    let store = site.disk(Whom::Collector).path().join("store");
    let (namespace, inputs) = (in_namespace(&site.collector), each("-i", urls));
    Party::new("the collector", "page and API", move || {
        ours("gannet-collector", namespace(), broken)
            .args(&inputs)
            .args(["--http", HTTP, "--store"])
            .args([&store])
    })
}

fn each(option: &str, values: &[String]) -> Vec<String> {
    values.iter().flat_map(|value| [option.to_owned(), value.clone()]).collect()
}

/// Makes commands inside a namespace for as long as it is there.
fn in_namespace(namespace: &Netns) -> impl Fn() -> Command + use<> {
    let name = namespace.name().to_owned();
    move || {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &name]);
        command
    }
}

/// A program of the build with faults, whether it has one or not: only that has the log of sealed batches.
fn ours(name: &'static str, mut command: Command, broken: Option<Broken>) -> Program {
    command.arg(faulty(name));
    let mutant = if let Some(Broken::Step(mutant)) = broken { mutant.name() } else { "" };
    Program::foreign(name, command).env(MUTANT_VARIABLE, mutant)
}

fn faulty(name: &str) -> PathBuf {
    let ordinary = process::path(name).unwrap();
    let path = ordinary.ancestors().nth(2).unwrap().join("fault-injection").join(name);
    assert!(path.is_file(), "{} is not there: build it with `make build`", path.display());
    path
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, "").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
}
