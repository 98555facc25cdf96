//! From a configuration to running threads, and back.
//!
//! ```text
//! Config ─► plan (mode, queues, workers) ─► outputs ─► stage (sockets, program) ─► conduct ─► books ─► Exit
//! ```
//! - [`plan`], [`mode`], [`layout`]: who serves what, and how, so that the host comes to no harm.
//! - `live`, `xdp`, `files`: opening inputs. `outputs`: opening sinks.
//! - `conduct`: from start to stop. `crew`, `control`: the workers. `watch`, `audit`, `symmetry`, `screen`, [`notify`]: meanwhile.
//! - [`host`]: what the probe asks of the host. [`identity`]: who it is.

mod about;
mod audit;
mod conduct;
mod control;
mod crew;
mod error;
mod exit;
mod fields;
mod files;
pub mod host;
pub mod identity;
mod kernel_books;
pub mod layout;
mod live;
pub mod mode;
pub mod notify;
mod outputs;
mod pins;
pub mod plan;
mod recovery;
mod reload;
mod screen;
mod selection;
mod spool;
mod stranded;
mod symmetry;
pub mod warnings;
mod watch;
mod xdp;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_wire::endpoint::Endpoint;
use flow_wire::ledger::{Discard, Message, of_probe, residual};

pub use error::Error;
pub use exit::Exit;

use crate::config::{Capture, CaptureWord, Command, CommandLine, Config, Input, XdpModeWord};
use crate::export::{Identity, Sink, kafka};
use crate::source::selection::{InForce, Selection};
use crate::telemetry::{Board, Server, losses, stage_table, summary};
use crate::worker::Clock;
use conduct::{Ended, Setting, Stage};
use control::Stop;
use host::{Interface, Signals, User};
use outputs::LedgerFile;
use pins::Pins;
use plan::Plan;
use reload::Reload;
use screen::Screen;

/// IPFIX 149: one probe process has one observation domain; several on a host are told apart by their probe's UUID.
const OBSERVATION_DOMAIN_ID: u32 = 1;

/// How long a start waits for its port.
const BIND_MOST: Duration = Duration::from_secs(3);
const BIND_AGAIN: Duration = Duration::from_millis(50);

/// Runs what the command line says, and says how it ended. Messages go to stderr.
pub fn run(command_line: &CommandLine) -> Exit {
    match begin(command_line) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("gannet-probe: {error}");
            if error.is_usage() { Exit::Usage } else { Exit::Failed }
        }
    }
}

fn begin(command_line: &CommandLine) -> Result<Exit, Error> {
    match &command_line.command {
        Some(Command::Spool { action }) => return spool::command(action).map(|()| Exit::Done),
        Some(Command::Fields { format, template }) => {
            println!("{}", fields::show(*format, template.as_deref())?);
            return Ok(Exit::Done);
        }
        None => {}
    }
    if command_line.wants_settings_listed() {
        return kafka::properties::print().map(|()| Exit::Done).map_err(Error::Listing);
    }
    let interfaces = host::interfaces().map_err(crate::config::Error::from)?;
    let config = command_line.config(&interfaces)?;
    let of_topics = config.output.topics.iter().map(|flows| &flows.destination.brokers);
    let brokers = config.output.sinks.iter().filter_map(Endpoint::kafka).chain(of_topics);
    let of_kafka = config.output.kafka.settings.sentences(brokers);
    let is_zmq = config.output.sinks.iter().any(|sink| matches!(sink, Endpoint::Zmq(_)));
    let of_ntop = is_zmq.then(|| config.output.zmq.ntop.warning()).flatten();
    for sentence in config.output.sentences.iter().chain(&of_kafka).chain(&of_ntop) {
        tracing::warn!("{sentence}");
    }
    let cores = cores();
    let plan = Plan::of(&config, &cores)?;
    if let Some(available) = host::available_octets() {
        crew::check_memory(config.flows, plan.workers.len(), available)?;
    }
    // What is not understood is said before anything is opened.
    select(&config, &plan)?;
    if command_line.check_config {
        config.user.as_deref().filter(|_| host::is_root()).map(User::find).transpose()?;
        outputs::check(&config)?;
        let paths = config.inputs.iter().filter_map(Input::file);
        files::check(paths, config.capture.expression.as_ref())?;
        describe(&config, &plan);
        return Ok(Exit::Done);
    }
    meter(command_line, &config, &plan)
}

fn select(config: &Config, plan: &Plan) -> Result<Selection, Error> {
    let Capture { filter, expression, .. } = &config.capture;
    selection::selection(filter.clone(), expression.as_ref(), &selection::links(&plan.ports))
}

/// The cores that this process may use.
fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

fn meter(command_line: &CommandLine, config: &Config, plan: &Plan) -> Result<Exit, Error> {
    flow_wire::fault::plan()?;
    // Before any thread is made: they inherit what is blocked here.
    let mut signals = Signals::block().map_err(Error::Signals)?;
    let board = Board::default();
    serve(config, &board)?;
    let ledger = config.output.ledger.as_deref().map(LedgerFile::open).transpose()?;
    let ended = match attempt(command_line, config, plan, &mut signals, &board) {
        Err(error) if may_listen_instead(config, plan) && error.is_refusal_of_xdp() => {
            tracing::warn!("{error}");
            tracing::warn!("AF_XDP is refused: listening by packet socket instead");
            let mut config = config.clone();
            config.capture.mode = CaptureWord::Packet;
            attempt(command_line, &config, &Plan::of(&config, &cores())?, &mut signals, &board)?
        }
        ended => ended?,
    };
    let exit = finish(config, ended, ledger)?;
    if config.stage_times {
        eprintln!("{}", stage_table(&board.stages()));
    }
    Ok(exit)
}

/// Only where AF_XDP was the probe's own choice, in whatever mode there is.
fn may_listen_instead(config: &Config, plan: &Plan) -> bool {
    config.capture.mode == CaptureWord::Auto
        && config.capture.xdp_mode == XdpModeWord::default()
        && plan.ports.iter().any(|port| port.mode == mode::Mode::Xdp)
}

/// A run, as an epoch of its own.
fn attempt(
    command_line: &CommandLine,
    config: &Config,
    plan: &Plan,
    signals: &mut Signals,
    board: &Board,
) -> Result<Ended, Error> {
    let user = new_user(config, plan)?;
    let clock = if plan.ports.is_empty() { Clock::OfPackets } else { Clock::monotonic() };
    let identity = who(config)?;
    let recovery = recovery::directory(config, clock != Clock::OfPackets, &identity);
    let stop = Stop::default();
    let selection = select(config, plan)?;
    let of_expression = selection::sentences(&selection, &plan.ports);
    let in_force = Arc::new(InForce::new(selection));
    // Files are read to their end with the filter that they began with.
    let links = selection::links(&plan.ports);
    let reload = if links.is_empty() {
        None
    } else {
        Reload::of(command_line, &in_force, links, config.capture.shunt.is_some())?
    };
    let sinks = outputs::sinks(config, identity.probe)?;
    let spool = spool::open(config, identity.probe, &sinks, user)?;
    let kept = spool.as_ref().map(spool::Opened::spool);
    let pins = Pins::open(config, plan, &identity, (recovery.is_some(), user), kept);
    let mut stage = stage(config, plan, sinks, (board, &in_force), (&stop, signals), (pins, clock))?;
    // The folder stays open until the run has ended: with it the lock.
    let (spool, _folder) = spool.map(spool::Opened::apart).unzip();
    stage.spool = spool;
    say(plan, &config.capture);
    for sentence in of_expression {
        tracing::info!("{sentence}");
    }
    let setting = Setting {
        recovery,
        identity,
        flows: config.flows,
        stop,
        signals,
        screen: Screen::new(config.output.flows.as_deref()),
        board: board.clone(),
        reload,
        give_up_rights: &mut || {
            let Some(user) = user else { return Ok(()) };
            Ok(user.become_for_good()?)
        },
        what: config.inputs.iter().map(Input::name).collect::<Vec<_>>().join(", "),
    };
    conduct::conduct(stage, setting)
}

/// Only root has rights to give away, and on some kernels XDP goes on needing them.
fn new_user(config: &Config, plan: &Plan) -> Result<Option<User>, Error> {
    let Some(name) = config.user.as_deref().filter(|_| host::is_root()) else { return Ok(None) };
    let user = User::find(name)?;
    if plan.ports.iter().any(|port| port.mode == mode::Mode::Xdp) && host::maps_need_rights() {
        tracing::warn!(
            "rights are kept: before Linux 6.0 the counters of the XDP program cannot be read without them while \
             kernel.unprivileged_bpf_disabled is set"
        );
        return Ok(None);
    }
    Ok(Some(user))
}

fn who(config: &Config) -> Result<Identity, Error> {
    let kept = config.output.has_bus();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(Identity {
        probe: identity::probe_id(config.probe_id, &config.state_dir, kept)?,
        epoch: identity::epoch(),
        epoch_start_nanoseconds: now.as_nanos() as u64,
        exporter: host::name(),
        active_timeout: config.flows.active_timeout,
    })
}

fn serve(config: &Config, board: &Board) -> Result<(), Error> {
    let Some(address) = config.http else { return Ok(()) };
    let failed = |error| Error::Http { address, error };
    let server = bind_patiently(address, board).map_err(failed)?;
    tracing::info!("metrics at http://{}/metrics", server.address().map_err(failed)?);
    server.start().map_err(Error::Thread)
}

/// A probe that was killed a moment ago still has its port while its memory is given back.
fn bind_patiently(address: SocketAddr, board: &Board) -> io::Result<Server> {
    let until = Instant::now() + BIND_MOST;
    loop {
        match Server::bind(address, board.clone()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                std::thread::sleep(BIND_AGAIN);
            }
            bound => return bound,
        }
    }
}

fn stage(
    config: &Config,
    plan: &Plan,
    sinks: Vec<Box<dyn Sink>>,
    (board, in_force): (&Board, &Arc<InForce>),
    ends: (&Stop, &Signals),
    (pins, clock): (Pins, Clock),
) -> Result<Stage, Error> {
    if !plan.ports.is_empty() {
        return live::stage(plan, &config.capture, sinks, (board, in_force), pins, clock);
    }
    let paths: Vec<&Path> = config.inputs.iter().filter_map(Input::file).collect();
    files::stage(&paths, &config.capture, sinks, board, ends)
}

/// What a person should know before the first packet.
fn say(plan: &Plan, capture: &Capture) {
    for sentence in &plan.sentences {
        tracing::info!("{sentence}");
    }
    for port in &plan.ports {
        for sentence in warnings::of(&port.interface, port.mode, capture.outgoing) {
            tracing::warn!("{sentence}");
        }
    }
}

fn finish(config: &Config, ended: Ended, ledger: Option<LedgerFile>) -> Result<Exit, Error> {
    let Ended { message, failed, is_bound, left } = ended;
    let identities = of_probe(&message, None);
    let left_over = residual(&identities);
    // Packets, or octets where only they are left over, as in the ledger file.
    let left_over = if left_over.packets > 0 { left_over.packets } else { left_over.octets };
    if let Some(ledger) = ledger {
        ledger.write(&message)?;
    }
    eprintln!("{}", summary(&message, left_over, &left));
    for identity in flow_wire::ledger::broken(&identities) {
        tracing::error!("the books do not balance at the hop {}: {}", identity.hop, identity.equation());
    }
    let lost: u64 = losses(&message).values().sum();
    Ok(match (left_over, config.output.max_loss) {
        _ if is_bound => Exit::Failed,
        (1.., _) => Exit::Residual,
        (0, Some(most)) if lost > most => Exit::Loss,
        (0, _) if failed || is_output_broken(&message) => Exit::Failed,
        (0, _) => Exit::Done,
    })
}

/// `--flows` is not whole: no loss of the network's, but what was asked for is not there.
fn is_output_broken(message: &Message) -> bool {
    message.cursors.iter().any(|cursor| cursor.discarded.contains_key(&Discard::WriteFailed))
}

fn describe(config: &Config, plan: &Plan) {
    let flows = &config.flows;
    let core = |core: &Option<usize>| core.map_or("any core".to_string(), |core| format!("core {core}"));
    println!("inputs         {}", config.inputs.iter().map(Input::name).collect::<Vec<_>>().join(", "));
    for port in &plan.ports {
        println!("capture        {} by {}, queues {:?}", port.interface.name, port.mode, port.queues);
        if port.mode == mode::Mode::Xdp {
            let frames = config.capture.depth.frames(port.queues.len());
            let memory = (2 * u64::from(frames) * u64::from(config.capture.frame_size_octets)) >> 20;
            println!(
                "rings          {frames} descriptors a queue, {memory} MiB: outlast {} ms at 1 Mpps a queue",
                frames / 1000
            );
        }
    }
    if let Some(expression) = &config.capture.expression {
        println!("expression     {expression}");
    }
    println!("workers        {}", plan.workers.iter().map(core).collect::<Vec<_>>().join(", "));
    println!("flows          {} open at most", flows.capacity);
    println!("time-outs      active {:?}, idle {:?}", flows.active_timeout, flows.idle_timeout);
    for sink in &config.output.sinks {
        println!("sink           {sink}, topics {}.*", config.output.kafka.prefix);
    }
    for flows in &config.output.topics {
        println!("sink           {}, a message a flow", flows.destination.name());
    }
    match &config.output.spool {
        Some(spool) if config.output.has_bus() => {
            let size = spool
                .size_octets
                .map_or("up to 4096 MB, at most half of what is free".to_owned(), |octets| {
                    format!("up to {} MB", octets >> 20)
                });
            println!("spool          {} in {}, {:?} at most", size, config.state_dir.display(), spool.age);
        }
        _ => println!("spool          none"),
    }
    for (name, path) in [("flows to", &config.output.flows), ("ledger to", &config.output.ledger)] {
        if let Some(path) = path {
            println!("{name:<14} {}", path.display());
        }
    }
    for sentence in &plan.sentences {
        println!("note           {sentence}");
    }
    println!("user           {}", config.user.as_deref().unwrap_or("unchanged"));
}

impl Input {
    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Interface(Interface { .. }) => None,
        }
    }
}
