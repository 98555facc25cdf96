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

use super::party::{END_BOUND, Party, wait};
use super::schedule::{Event, What, Whom};
use super::site::{PROBE, Site};
use super::traffic::{RATE, Sent, Traffic};
use super::{Bus, Settings, broker};

/// Time-outs so short that records flow all the time, and a cache that a small disk holds twice.
const FLOWS: [&str; 6] = ["-d", "1", "-t", "2", "-M", "10000"];

/// A cold Java on a busy machine.
const BROKER_BOUND: Duration = Duration::from_secs(120);

/// A question to the collector, which may wait 60 s itself.
const ANSWER_BOUND: Duration = Duration::from_secs(120);

/// Until everything that was sent is stored, where no probe was killed.
const STORED_BOUND: Duration = Duration::from_secs(60);

/// The same for a mutant: it may wait in vain.
const MUTANT_BOUND: Duration = Duration::from_secs(15);

/// Stops of the probe until its spool is empty. Each gives the bus some seconds; a broker gives a dead producer up after 15 s, and a
/// client waits up to 10 s before it looks for a broker again.
const STOPS_MAX: u32 = 20;

/// What a probe that is killed has not metered yet: a worker that does not get its core looks into its ring late.
const UNMETERED_MAX: Duration = Duration::from_millis(500);

/// Where the collector answers, in its own namespace.
const HTTP: &str = "127.0.0.1:3000";

pub(crate) struct Cast {
    pub(crate) site: Site,
    pub(crate) probe: Party,
    pub(crate) broker: Option<Party>,
    pub(crate) collector: Party,
    /// When the probe was killed, and when the next one had said that it meters.
    exposed: Vec<(Instant, Option<Instant>)>,
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
        let mutant = settings.mutant.map_or("", |mutant| mutant.name());
        let patience = if settings.mutant.is_some() { MUTANT_BOUND } else { STORED_BOUND };
        let probe = probe_of(&site, &urls, settings.bus, mutant);
        let collector = collector_of(&site, &urls, mutant);
        Self { site, probe, broker, collector, exposed: Vec::new(), patience }
    }

    /// Everybody, in the order in which they need each other; the probe meters when this is over.
    pub(crate) fn start_all(&mut self) {
        if let Some(broker) = &mut self.broker {
            broker.start();
            wait("the broker takes connections", BROKER_BOUND, || reaches_broker(&self.site.broker)).unwrap();
        }
        self.collector.start();
        self.collector.wait_until_ready();
        self.probe.start();
        self.probe.wait_until_ready();
    }

    fn party(&mut self, whom: Whom) -> Option<&mut Party> {
        match whom {
            Whom::Probe => Some(&mut self.probe),
            Whom::Broker => self.broker.as_mut(),
            Whom::Collector => Some(&mut self.collector),
        }
    }

    /// A probe that is told to stop has metered all that was sent until then: nothing is sent while nobody listens.
    pub(crate) fn begin(&mut self, event: &Event, traffic: &Traffic) {
        match (event.whom, event.what) {
            (Whom::Probe, What::Stop) => traffic.rest(),
            (Whom::Probe, What::Kill) => self.exposed.push((Instant::now(), None)),
            _ => {}
        }
        match event.what {
            What::Fill => return self.site.disk(event.whom).fill(),
            What::Cut => return self.site.link(event.whom, "down"),
            What::Kill | What::Stop | What::Pause => {}
        }
        let Some(party) = self.party(event.whom) else { return };
        match event.what {
            What::Kill => party.kill(),
            What::Stop => party.signal(Signal::Terminate),
            _ => party.signal(Signal::Stop),
        }
    }

    pub(crate) fn mend(&mut self, event: &Event, traffic: &Traffic) {
        self.end(event);
        if (event.whom, event.what) == (Whom::Probe, What::Stop) {
            self.probe.wait_until_ready();
            traffic.go_on();
        }
    }

    fn end(&mut self, event: &Event) {
        match event.what {
            What::Fill => self.site.disk(event.whom).free(),
            What::Cut => return self.site.link(event.whom, "up"),
            What::Kill | What::Stop | What::Pause => {}
        }
        let Some(party) = self.party(event.whom) else { return };
        match event.what {
            What::Pause => return party.signal(Signal::Continue),
            What::Stop => {
                let wrong = party.wait_for_the_end();
                // Java ends with the signal's number.
                party.deaths.extend(wrong.filter(|_| event.whom != Whom::Broker));
            }
            _ => drop(party.notice_the_end(event.what == What::Fill)),
        }
        party.start();
    }

    /// Notes when the probe meters again; asked again and again.
    pub(crate) fn look(&mut self) {
        if let Some((_, metered @ None)) = self.exposed.last_mut()
            && self.probe.is_ready()
        {
            *metered = Some(Instant::now());
        }
    }

    /// Packets that may be lost: those that came while no probe metered, and those in the rings of one that was killed.
    pub(crate) fn exposed_packets(&self) -> u64 {
        let second = |(killed, metered): &(Instant, Option<Instant>)| {
            let dead = metered.unwrap_or_else(Instant::now).duration_since(*killed);
            (dead + UNMETERED_MAX).as_millis() as u64
        };
        self.exposed.iter().map(second).sum::<u64>() * u64::from(RATE) / 1_000
    }

    /// The barrier: everybody is well and runs; the probe is stopped, and started again until its spool is empty; the collector has read
    /// everything.
    pub(crate) fn drain(&mut self, sent: &Sent) -> Books {
        let mut failures = Vec::new();
        if let Some(broker) = &mut self.broker {
            broker.start();
            failures
                .extend(wait("the broker is back", BROKER_BOUND, || reaches_broker(&self.site.broker)).err());
        }
        self.collector.start();
        self.collector.wait_until_ready();
        if self.exposed.is_empty() {
            // Where something is lost all the same this does not come, and the verdict says what.
            drop(wait("all packets are stored", self.patience, || self.stored_packets() >= sent.packets));
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
        if self.probe.starts > 0 && !self.probe.notice_the_end(false) && self.left_in_spool().is_none() {
            return Ok(());
        }
        self.probe.start();
        self.probe.wait_until_ready();
        self.look();
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

fn probe_of(site: &Site, urls: &[String], bus: Bus, mutant: &'static str) -> Party {
    // The collector is on another host. Beside Kafka it is a second way, on which things may get lost.
    let acknowledge = if bus == Bus::Both { "off" } else { "require" };
    let (state, log, ledger) =
        (site.disk(Whom::Probe).path().join("state"), site.file("sealed"), site.file("ledger"));
    // On a tmpfs, too.
    let recovery = site.disk(Whom::Probe).path().join("recovery");
    // The probe gives up root before it seals.
    open_to_all(&log);
    let (namespace, outputs) = (in_namespace(&site.probe), each("--ntopng", urls));
    Party::new("the probe", "ready:", move || {
        ours("gannet-probe", namespace(), mutant)
            .env("GANNET_SEALED_LOG", &log)
            .args(["-i", "in", "--capture", "xdp", "--workers", "2"])
            .args(&outputs)
            .args(FLOWS)
            .args(["--zmq-acknowledge", acknowledge])
            .args([Path::new("--state-dir"), &state, Path::new("--ledger"), &ledger])
            .args([Path::new("--recovery-dir"), &recovery])
    })
}

fn collector_of(site: &Site, urls: &[String], mutant: &'static str) -> Party {
    let store = site.disk(Whom::Collector).path().join("store");
    let (namespace, inputs) = (in_namespace(&site.collector), each("-i", urls));
    Party::new("the collector", "page and API", move || {
        ours("gannet-collector", namespace(), mutant)
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
fn ours(name: &'static str, mut command: Command, mutant: &str) -> Program {
    command.arg(faulty(name));
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
