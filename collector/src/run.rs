//! The collector's life: open the store, listen, read; on a signal drain, and end.
//!
//! ```text
//! SIGTERM ─► inputs end ─► writer commits what is left ─► scripts end ─► server ends
//!            └──────────── DRAIN_MAX at most ──────────┘
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use flow_wire::endpoint::Endpoint;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::api::{self, Service};
use crate::config::Settings;
use crate::ingest::{
    Counters, Failure, Feed, Input, InputState, InputStatus, Kafka, Keys, Stop, StoreStatus, Writer, Zmq,
};
use crate::script::{self, Scripts};
use crate::store::Writer as _;
use crate::store::duckdb::DuckDb;

/// From the signal to the last commit: contracts.md gives the probe ten seconds, and so does this.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// For answers that are being written when the collector stops.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// How often it is looked whether to stop, and the watchdog fed.
const TICK: Duration = Duration::from_millis(200);

/// Why it could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// Keys of ZMQ.
    #[error(transparent)]
    Keys(#[from] crate::ingest::KeysError),
    /// The address.
    #[error("--http {address}: {source}; give another address or port")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Scripts.
    #[error(transparent)]
    Scripts(#[from] crate::script::Error),
    /// Threads or signals.
    #[error("the system refused {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The writer gave up.
    #[error(transparent)]
    Writer(#[from] Failure),
    /// Nothing is read any more, and nobody asked for that.
    #[error("no input is left: {0}")]
    Inputs(String),
    /// The drain took too long.
    #[error(
        "the last rows could not be stored within {0:?}: Kafka has them still, and a probe that keeps batches for this \
         store; what came by a plain ZMQ subscription is lost"
    )]
    Drain(Duration),
}

/// Runs until a signal. Everything is constructed before anything starts.
pub fn run(settings: &Settings) -> Result<(), Error> {
    for sentence in settings.kafka_conf.sentences(settings.inputs.iter().filter_map(Endpoint::kafka)) {
        tracing::warn!("{sentence}");
    }
    for sentence in settings.scripts.iter().flat_map(|scripts| scripts.kafka_conf.sentences([])) {
        tracing::warn!("of --script-kafka-conf: {sentence}");
    }
    let system = |what| move |source| Error::System { what, source };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(system("threads"))?;
    // First of all: a store of months takes its time to open, and who stops it meanwhile shall not leave it to the next start.
    let stop = Stop::default();
    runtime.block_on(async { stop_on_signal(&stop) }).map_err(system("signals"))?;
    let listened = runtime.block_on(tokio::net::TcpListener::bind(settings.http));
    let listener = listened.map_err(|source| Error::Listen { address: settings.http, source })?;
    let address = listener.local_addr().map_err(system("the address"))?;

    let store =
        DuckDb::open(&settings.store, Some(&address.to_string()))?.with_retention(settings.retention_days);
    let reader = store.reader()?;
    let (mut registry, store_status) = (Registry::default(), Arc::new(StoreStatus::default()));
    let counters = Counters::register(&mut registry);
    let inputs = inputs(settings, &store)?;
    let statuses: Vec<_> = inputs.iter().map(|(_, status, _)| Arc::clone(status)).collect();
    let watched = statuses.clone();
    let mut scripts =
        settings.scripts.as_ref().map(|found| Scripts::find(found, &mut registry)).transpose()?;
    let tap = scripts.as_ref().and_then(Scripts::tap);
    let mut writer = Writer::new(Box::new(store), counters, Arc::clone(&store_status)).with_tap(tap);
    let fed: Vec<_> = inputs
        .into_iter()
        .filter_map(|(input, status, keeps)| Some((input, writer.feed(status, keeps)?)))
        .collect();
    let store_path = settings.store.display().to_string();
    let service = Arc::new(Service {
        reader,
        store_path,
        inputs: statuses,
        store_status,
        registry,
        books: Default::default(),
        audit: Default::default(),
    });
    runtime.spawn(api::audit(Arc::clone(&service)));
    if let Some(scripts) = &mut scripts {
        scripts.start(Arc::clone(&service) as Arc<dyn script::Api>).map_err(system("a thread"))?;
    }

    let goodbye = Arc::new(Notify::new());
    let server = runtime.spawn(serve(listener, service, address, Arc::clone(&goodbye)));
    tracing::info!("page and API at http://{address}/, store in {}", settings.store.display());
    let (ended, written) = channel();
    spawn("writer", {
        let stop = stop.clone();
        move || {
            // Nobody listens any more only where the drain was given up.
            let _ = ended.send(writer.run(&stop));
        }
    })?;
    for (input, feed) in fed {
        spawn("input", read(input, feed, stop.clone()))?;
    }
    tell(&[sd_notify::NotifyState::Ready]);
    let result = wait(&written, &stop).and_then(|()| ended_by_signal(&stop, &watched));
    // Behind the last commit: what was stored is offered to them.
    if let Some(scripts) = scripts {
        scripts.stop();
    }
    goodbye.notify_one();
    let _ = runtime.block_on(async { tokio::time::timeout(GOODBYE_MAX, server).await });
    runtime.shutdown_timeout(GOODBYE_MAX);
    result
}

/// Until the writer has ended, by itself or after the signal.
fn wait(written: &Receiver<Result<(), Failure>>, stop: &Stop) -> Result<(), Error> {
    let mut left = DRAIN_MAX;
    let mut told = false;
    loop {
        match written.recv_timeout(TICK) {
            Ok(result) => return Ok(result?),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Drain(Duration::ZERO)),
            Err(RecvTimeoutError::Timeout) if !stop.is_set() => tell(&[sd_notify::NotifyState::Watchdog]),
            Err(RecvTimeoutError::Timeout) => {
                if !told {
                    tracing::info!("stopping: storing what came");
                    tell(&[sd_notify::NotifyState::Stopping]);
                    told = true;
                }
                left = left.saturating_sub(TICK);
                if left.is_zero() {
                    return Err(Error::Drain(DRAIN_MAX));
                }
            }
        }
    }
}

/// The writer ends with the last input; where no signal came, that one failed.
fn ended_by_signal(stop: &Stop, inputs: &[Arc<InputStatus>]) -> Result<(), Error> {
    if stop.is_set() {
        return Ok(());
    }
    let details: Vec<_> = inputs.iter().map(|input| input.state().1).collect();
    Err(Error::Inputs(details.join("; ")))
}

/// Each input with its status, and whether its bus keeps what is not read.
type Inputs = Vec<(Box<dyn Input>, Arc<InputStatus>, bool)>;

fn inputs(settings: &Settings, store: &DuckDb) -> Result<Inputs, Error> {
    let mut inputs: Inputs = Vec::new();
    let keys = settings.zmq_keys.as_deref().map(|file| Keys::read(&settings.store, file)).transpose()?;
    for endpoint in &settings.inputs {
        if let Some(sentence) = endpoint.deprecation() {
            tracing::warn!("{sentence}");
        }
        let status = Arc::new(InputStatus::new(endpoint.to_string()));
        let prefix = &settings.topic_prefix;
        inputs.push(match endpoint {
            Endpoint::Zmq(zmq) => {
                (Box::new(Zmq::new(zmq.clone(), prefix, store.id(), keys.as_ref())?), status, false)
            }
            Endpoint::Kafka(kafka) => {
                // Before the writer begins: the offsets are those of the last commit.
                let offsets = store.all_offsets()?;
                let stored = Box::new(move |cluster: &str| {
                    offsets.iter().filter(|offset| offset.cluster == cluster).cloned().collect()
                });
                let conf = &settings.kafka_conf;
                (Box::new(Kafka::new(kafka.clone(), prefix, store.id(), conf, stored)), status, true)
            }
        });
    }
    Ok(inputs)
}

fn read(input: Box<dyn Input>, feed: Feed, stop: Stop) -> impl FnOnce() + Send {
    move || {
        // Held until the status says why: the writer ends with the last feed.
        let held = feed.clone();
        if let Err(error) = input.run(feed, stop) {
            held.status.set(InputState::Failed, error.to_string());
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.map_err(|source| Error::System { what: "a thread", source })
}

async fn serve(
    listener: tokio::net::TcpListener,
    service: Arc<Service>,
    address: SocketAddr,
    goodbye: Arc<Notify>,
) {
    let router = api::router(service, address);
    let served =
        axum::serve(listener, router).with_graceful_shutdown(async move { goodbye.notified().await });
    if let Err(error) = served.await {
        tracing::error!("the server ended: {error}");
    }
}

/// From here on a signal stops in order.
fn stop_on_signal(stop: &Stop) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.set();
    });
    Ok(())
}

/// A service manager that does not listen is its own problem.
fn tell(states: &[sd_notify::NotifyState<'_>]) {
    let _ = sd_notify::notify(false, states);
}
