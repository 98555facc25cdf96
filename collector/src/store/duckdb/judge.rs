//! Which arrivals are new. Nothing is written here: the verdict is a plan, so that a transaction that fails leaves no trace.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use duckdb::{Connection, params};
use flow_wire::fault::{self, Mutant};
use flow_wire::ledger::Tombstone;
use flow_wire::stamp::Stamp;

use super::super::{Arrival, Batch, Books, Counted, Error, Intake, StreamKey};
use super::books;
use super::stream::Stream;

/// Streams of all epochs: a thousand probes that start daily for months. Each costs a few hundred octets of memory for ever.
const STREAMS_MAX: usize = if cfg!(test) { 100 } else { 1_000_000 };

/// What one commit will write.
#[derive(Default)]
pub(super) struct Plan<'a> {
    /// Arrivals of a sequence for the first time, and those that could not be used.
    pub(super) arrivals: Vec<Arrival>,
    /// New flows.
    pub(super) batches: Vec<&'a Batch>,
    /// New ledger messages.
    pub(super) books: Vec<&'a Books>,
    /// Stamps that are there with another CRC.
    pub(super) conflicts: Vec<Conflict<'a>>,
    /// For which there is no room: one stream that is broken, or whoever makes new ones all the time, must not hold up all others.
    pub(super) parked: Vec<Parked<'a>>,
    /// Batches that are there already.
    pub(super) duplicates: u64,
    /// Retention has removed files, and the CRCs in them.
    forgets: bool,
    /// Streams as they will be.
    pub(super) streams: HashMap<StreamKey, Stream>,
    /// Of them: those that were not known.
    new_streams: usize,
}

/// One stamp, two contents.
pub(super) struct Conflict<'a> {
    pub(super) stamp: Stamp,
    pub(super) stored_crc32c: u32,
    pub(super) arrived_crc32c: u32,
    pub(super) body: Cow<'a, [u8]>,
}

/// A message beyond a bound.
pub(super) struct Parked<'a> {
    pub(super) stamp: Stamp,
    pub(super) why: String,
    pub(super) body: Cow<'a, [u8]>,
}

/// Holds an intake against the received sets, in the order of arrival.
pub(super) fn judge<'a>(
    connection: &Connection,
    streams: &HashMap<StreamKey, Stream>,
    intake: &'a Intake,
) -> Result<Plan<'a>, Error> {
    let mut plan = Plan { forgets: books::anything_removed(connection)?, ..Plan::default() };
    for arrival in &intake.arrivals {
        plan.arrive(streams, arrival, intake.now_nanoseconds);
    }
    let mut crcs = stored_crcs(connection, streams, intake)?;
    for batch in &intake.batches {
        let candidate =
            Candidate { stamp: batch.stamp, crc32c: batch.crc32c, records: batch.rows.num_rows() as u64 };
        let body = || Cow::Borrowed(batch.body.as_slice());
        if plan.is_new(streams, candidate, &mut crcs, body)? {
            plan.batches.push(batch);
        }
    }
    for books in &intake.books {
        let candidate = Candidate { stamp: books.stamp, crc32c: books.crc32c, records: 0 };
        let body = || Cow::Owned(books.message.encode().unwrap_or_default());
        if plan.is_new(streams, candidate, &mut crcs, body)? {
            plan.discard(streams, books);
            plan.books.push(books);
        }
    }
    Ok(plan)
}

#[derive(Clone, Copy)]
struct Candidate {
    stamp: Stamp,
    crc32c: u32,
    records: u64,
}

impl<'a> Plan<'a> {
    fn stream(&mut self, streams: &HashMap<StreamKey, Stream>, key: StreamKey) -> &mut Stream {
        self.streams.entry(key).or_insert_with(|| {
            let known = streams.get(&key).cloned();
            self.new_streams += usize::from(known.is_none());
            known.unwrap_or_default()
        })
    }

    /// A new stream must find room.
    fn has_room_for(&self, streams: &HashMap<StreamKey, Stream>, key: StreamKey) -> bool {
        let known = streams.contains_key(&key) || self.streams.contains_key(&key);
        known || streams.len() + self.new_streams < STREAMS_MAX
    }

    /// Notes what the probe will not send over the bus that brought this message.
    fn discard(&mut self, streams: &HashMap<StreamKey, Stream>, books: &Books) {
        let of_this_bus = |tombstone: &&Tombstone| books.sink == 0 || tombstone.sink == books.sink;
        let sound = |tombstone: &&Tombstone| tombstone.first <= tombstone.last && tombstone.last.0 < u64::MAX;
        for tombstone in books.message.tombstones.iter().filter(of_this_bus).filter(sound) {
            let (probe, epoch) = (books.stamp.probe, tombstone.epoch);
            let key = StreamKey { probe, epoch, stream: tombstone.stream };
            // Of a stream without room nothing is stored that it could explain.
            if self.has_room_for(streams, key) {
                self.stream(streams, key).discard(tombstone);
            }
        }
    }

    /// Counts what ingest took off the bus, apart from what the store makes of it.
    fn arrive(&mut self, streams: &HashMap<StreamKey, Stream>, arrival: &'a Arrival, now_nanoseconds: u64) {
        // What came of a stream without room is counted where it is parked.
        if !self.has_room_for(streams, arrival.stamp.into()) {
            return;
        }
        let stream = self.stream(streams, arrival.stamp.into());
        if !stream.is_heard() {
            stream.bus = arrival.bus;
        }
        stream.on_several_buses |= stream.bus != arrival.bus;
        stream.last_nanoseconds = now_nanoseconds;
        let records = u64::from(arrival.records);
        let sequence = arrival.stamp.sequence.0;
        expire(stream, arrival);
        // A set that is full has no room for it in `received` either, where it is parked.
        let inserted = if arrival.refused { None } else { stream.arrived.insert(sequence).ok() };
        let refused = inserted.is_none();
        // What was refused and comes again (the bus was read anew, or another one brings it too) is refused once.
        if refused && stream.refused_at.contains(sequence) {
            return;
        }
        if refused {
            stream.refused_at.insert(sequence, sequence);
        }
        if inserted.unwrap_or(true) {
            self.arrivals.push(Arrival { refused, ..*arrival });
        } else {
            stream.again.add(records);
            stream.again_at.insert(sequence, sequence);
            // A probe with two sinks, and a collector that reads both: everything comes twice.
            if arrival.reread || arrival.bus != stream.bus {
                stream.reread.add(records);
            }
        }
    }

    fn is_new(
        &mut self,
        streams: &HashMap<StreamKey, Stream>,
        candidate: Candidate,
        crcs: &mut HashMap<Stamp, u32>,
        body: impl FnOnce() -> Cow<'a, [u8]>,
    ) -> Result<bool, Error> {
        let Candidate { stamp, crc32c, records } = candidate;
        let forgets = self.forgets;
        if !self.has_room_for(streams, stamp.into()) {
            let why = format!(
                "the store knows {} streams, and no more are taken: find out which publisher makes new epochs all the time",
                streams.len()
            );
            self.parked.push(Parked { stamp, why, body: body() });
            return Ok(false);
        }
        let stream = self.stream(streams, stamp.into());
        let is_old = fault::is(Mutant::HighWaterMark) && stamp.sequence.0 < stream.received.end();
        let inserted = match stream.received.insert(stamp.sequence.0) {
            Ok(inserted) => inserted,
            Err(full) => {
                self.parked.push(Parked { stamp, why: full.to_string(), body: body() });
                return Ok(false);
            }
        };
        if inserted {
            crcs.insert(stamp, crc32c);
            return Ok(!is_old);
        }
        if fault::is(Mutant::NoDedupe) {
            return Ok(true);
        }
        let count = |counted: &mut Counted| counted.add(records);
        match crcs.get(&stamp) {
            Some(&stored_crc32c) if stored_crc32c != crc32c => {
                count(&mut stream.conflict);
                stream.conflict_at.insert(stamp.sequence.0, stamp.sequence.0);
                let conflict = Conflict { stamp, stored_crc32c, arrived_crc32c: crc32c, body: body() };
                self.conflicts.push(conflict);
            }
            Some(_) => {
                count(&mut stream.duplicate);
                self.duplicates += 1;
            }
            // Its row went with the file of its day. The set is never wrong about a sequence.
            None if forgets => {
                count(&mut stream.duplicate);
                self.duplicates += 1;
            }
            // Every batch in a set has its row in the table `batch`: both are written in one transaction.
            None => return Err(Error::Malformed { table: "batch", found: format!("no row for {stamp:?}") }),
        }
        Ok(false)
    }
}

/// The first message of a stream from behind what retention removed unread: all between the last one that came and this one
/// is gone. Partitions keep the order of a stream, so that nothing between can still come. Whether its epoch had begun by then,
/// its ledger messages tell, which come on another topic: so the time is kept with it, and the books are its judge.
fn expire(stream: &mut Stream, arrival: &Arrival) {
    if arrival.place.partition.is_none() {
        return;
    }
    let before = std::mem::replace(&mut stream.place, arrival.place);
    let expiry = arrival.place.expiry;
    let passed = expiry.below != 0 && arrival.place != before;
    let (from, sequence) = (stream.arrived.end(), arrival.stamp.sequence.0);
    if passed && from < sequence {
        stream.expire(expiry.until_nanoseconds, (from, sequence - 1));
    }
}

/// The CRCs of those that are stored already: one look-up per stream that has any.
fn stored_crcs(
    connection: &Connection,
    streams: &HashMap<StreamKey, Stream>,
    intake: &Intake,
) -> Result<HashMap<Stamp, u32>, Error> {
    let stamps =
        intake.batches.iter().map(|batch| batch.stamp).chain(intake.books.iter().map(|books| books.stamp));
    let mut there: BTreeMap<StreamKey, Vec<Stamp>> = BTreeMap::new();
    for stamp in stamps {
        let key = StreamKey::from(stamp);
        if streams.get(&key).is_some_and(|stream| stream.received.contains(stamp.sequence.0)) {
            there.entry(key).or_default().push(stamp);
        }
    }
    let mut crcs = HashMap::new();
    for (key, stamps) in there {
        // Numbers only: nothing here comes as text from outside.
        let list = stamps.iter().map(|stamp| stamp.sequence.0.to_string()).collect::<Vec<_>>().join(", ");
        let mut statement = connection.prepare(&format!(
            "SELECT sequence, crc32c FROM memory.main.batch_of_all
             WHERE probe_id = ? AND epoch = ? AND stream = ? AND sequence IN ({list})"
        ))?;
        let found = statement.query_map(
            params![key.probe.0.as_bytes().as_slice(), key.epoch.0.as_bytes().as_slice(), key.stream.0],
            |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u32>(1)?)),
        )?;
        let by_sequence = found.collect::<Result<HashMap<_, _>, _>>()?;
        crcs.extend(
            stamps.into_iter().filter_map(|stamp| Some((stamp, *by_sequence.get(&stamp.sequence.0)?))),
        );
    }
    Ok(crcs)
}
