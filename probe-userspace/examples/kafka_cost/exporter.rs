//! The probe's way: outbox, with or without a spool, and its Kafka sink in a thread of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flow_wire::batch::{Sealed, decode, encode, records};
use flow_wire::endpoint::Endpoint;
use flow_wire::record::FlowRecord;
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use probe::export::Sink;
use probe::export::kafka::{Kafka, Options};
use probe::export::outbox::{Outbox, Wanted};
use probe::spool::{self, Spool, Sync};
use uuid::Uuid;

use super::{Measurement, PREFIX};

const BOUND: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);

/// Sends them as `way` says, and measures all but the first.
pub(crate) fn run(bootstrap: &str, way: &str, batches: &[Sealed], folder: Option<&Path>) {
    let probe = ProbeId(Uuid::new_v4());
    let epoch = Epoch(Uuid::new_v4());
    let (outbox, sink) = outbox(probe, epoch, bootstrap, folder);
    let cursor = outbox.cursor(0);
    let sending = std::thread::spawn(move || sink.run(cursor));
    let is_over = AtomicBool::new(false);
    let stamp = |number: u64| Stamp { probe, epoch, stream: StreamId(0), sequence: Sequence(number) };
    std::thread::scope(|scope| {
        scope.spawn(|| outbox.keep(|| is_over.load(Ordering::Relaxed)));
        // The first one finds the connection, the topics, the transaction's coordinator.
        outbox.append(&Arc::new(stamped(&batches[0], stamp(0))));
        assert!(outbox.wait_empty(BOUND), "the first batch did not go out");
        let numbered = (1..).zip(&batches[1..]);
        let sending = if way == "records" {
            let decoded: Vec<(u64, Vec<FlowRecord>)> = numbered
                .map(|(number, sealed)| (number, records(&decode(&sealed.body).unwrap().batch).unwrap()))
                .collect();
            let sending = Measurement::begin();
            for (number, records) in &decoded {
                outbox.append(&Arc::new(encode(records, stamp(*number)).unwrap()));
            }
            sending
        } else {
            let ready: Vec<_> =
                numbered.map(|(number, sealed)| Arc::new(stamped(sealed, stamp(number)))).collect();
            let sending = Measurement::begin();
            ready.iter().for_each(|sealed| outbox.append(sealed));
            sending
        };
        assert!(outbox.wait_empty(BOUND), "not everything went out");
        sending.end(way, &batches[1..]);
        is_over.store(true, Ordering::Relaxed);
        outbox.wake_keeper();
    });
    let discarded: u64 = outbox.terms().iter().flat_map(|terms| terms.discarded.values()).sum();
    assert_eq!(discarded, 0, "records were discarded");
    outbox.end();
    sending.join().unwrap();
    outbox.close();
}

/// The outbox and the sink that reads it.
fn outbox(
    probe: ProbeId,
    epoch: Epoch,
    bootstrap: &str,
    folder: Option<&Path>,
) -> (Arc<Outbox>, Box<dyn Sink>) {
    let Ok(Endpoint::Kafka(endpoint)) = format!("kafka://{bootstrap}").parse() else {
        panic!("{bootstrap} is no address")
    };
    let options = Options { prefix: PREFIX.to_owned(), partitions: Some(1), ..Options::default() };
    let sink: Box<dyn Sink> = Box::new(Kafka::new(&endpoint, probe, options).unwrap());
    let spool = folder.map(|folder| spool(folder, probe));
    let outbox = Outbox::over(&[Wanted::by(&*sink)], usize::MAX, spool);
    outbox.begin_epoch(epoch, &[StreamId(0)]);
    (outbox, sink)
}

/// With the probe's defaults.
fn spool(folder: &Path, probe: ProbeId) -> Spool {
    let options = spool::Options {
        quota_octets: 4 << 30,
        segment_octets: 64 << 20,
        age: 7 * DAY,
        cursor_ttl: 7 * DAY,
        memory_octets: 64 << 20,
        sync: Sync::Interval,
    };
    Spool::open(folder, probe, options, None).unwrap().0
}

/// The same octets as another probe's: the stamp beside the body is the sink's key, the one within is nobody's business here.
fn stamped(sealed: &Sealed, stamp: Stamp) -> Sealed {
    let mut sealed = sealed.clone();
    sealed.header.stamp = stamp;
    sealed
}
