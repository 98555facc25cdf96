//! What is known of each stream: its received set, and what came of what arrived.

use std::collections::HashMap;

use duckdb::{Connection, Row, params};
use flow_wire::ledger::{Discard, Tombstone};
use flow_wire::stamp::{Epoch, ProbeId, StreamId};
use uuid::Uuid;

use super::super::intake::reaches;
use super::super::{Bus, Counted, Discarded, Error, Expiry, Place, Ranges, Received, StreamKey};

/// One row of the table `received`.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// On which kind of bus it came first, and whether on another one too.
    pub(super) bus: Bus,
    pub(super) on_several_buses: bool,
    pub(super) last_nanoseconds: u64,
    /// What is stored.
    pub(super) received: Received,
    /// What came off the bus and could be used, by ingest's own count.
    pub(super) arrived: Received,
    /// Arrivals of a sequence that had come before.
    pub(super) again: Counted,
    /// Of them: on purpose.
    pub(super) reread: Counted,
    /// Batches handed to the store that were there already.
    pub(super) duplicate: Counted,
    /// Likewise, with another CRC.
    pub(super) conflict: Counted,
    /// Where it came last.
    pub(super) place: Place,
    /// Sequences that came again; with another CRC; that could not be used.
    pub(super) again_at: Ranges,
    pub(super) conflict_at: Ranges,
    pub(super) refused_at: Ranges,
    /// What the bus kept no longer, in the order in which that was found.
    pub(super) expired: Vec<Expired>,
    /// What the probe will not send.
    pub(super) discarded: Vec<Discarded>,
}

/// Expiries of one stream that are told apart: all but its first may go on in one, since the epoch had begun by then.
const EXPIRIES_MAX: usize = 16;

/// Sequences that the bus kept no longer.
#[derive(Clone, Debug)]
pub(super) struct Expired {
    /// As [`Expiry::until_nanoseconds`].
    until_nanoseconds: u64,
    ranges: Ranges,
}

impl Stream {
    /// Notes a range that was gone by then.
    pub(super) fn expire(&mut self, until_nanoseconds: u64, (first, last): (u64, u64)) {
        let is_full = self.expired.len() == EXPIRIES_MAX;
        match self.expired.last_mut() {
            Some(latest) if is_full || latest.until_nanoseconds == until_nanoseconds => {
                latest.until_nanoseconds = latest.until_nanoseconds.max(until_nanoseconds);
                latest.ranges.insert(first, last);
            }
            _ => self.expired.push(Expired { until_nanoseconds, ranges: Ranges::of([(first, last)]) }),
        }
    }

    /// What can have expired of it, where its epoch began then.
    pub(super) fn expired_since(&self, epoch_start_nanoseconds: u64) -> Ranges {
        let of_epoch = |expired: &&Expired| reaches(expired.until_nanoseconds, epoch_start_nanoseconds);
        Ranges::of(self.expired.iter().filter(of_epoch).flat_map(|expired| expired.ranges.iter()))
    }

    /// Whether anything of it came: of one that only a tombstone told of, nobody knows the bus yet.
    pub(super) fn is_heard(&self) -> bool {
        self.last_nanoseconds != 0
    }

    /// Takes in what the probe says it will not send.
    pub(super) fn discard(&mut self, tombstone: &Tombstone) {
        let Tombstone { reason, first, last, records, .. } = *tombstone;
        if let Some(known) = self.discarded.iter_mut().find(|known| known.reason == reason) {
            known.ranges.insert(first.0, last.0);
            known.records = known.records.saturating_add(records);
        } else {
            let ranges = Ranges::of([(first.0, last.0)]);
            self.discarded.push(Discarded { reason, ranges, records });
        }
    }
}

/// In the order of [`read`].
const COLUMNS: &str = "probe_id, epoch, stream, bus, last_nanoseconds, floor, above, arrived_floor, arrived_above,
    again_batches, again_records, reread_batches, reread_records, duplicate_batches, duplicate_records,
    conflict_batches, conflict_records, partition, expired_below, expired_until, again_at, conflict_at, refused_at, expired, discarded";

/// All of them.
pub(super) fn load(connection: &Connection) -> Result<HashMap<StreamKey, Stream>, Error> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM received"))?;
    let mut rows = statement.query([])?;
    let mut streams = HashMap::new();
    while let Some(row) = rows.next()? {
        let (key, stream) = read(row)?;
        streams.insert(key, stream);
    }
    Ok(streams)
}

fn read(row: &Row<'_>) -> Result<(StreamKey, Stream), Error> {
    let malformed = |found: String| Error::Malformed { table: "received", found };
    let counted = |at: usize| -> Result<Counted, Error> {
        Ok(Counted { batches: row.get(at)?, records: row.get(at + 1)? })
    };
    let received = |at: usize| -> Result<Received, Error> {
        let above: String = row.get(at + 1)?;
        Received::parse(row.get(at)?, &above).map_err(|error| malformed(error.to_string()))
    };
    let ranges = |at: usize| -> Result<Ranges, Error> {
        let text: String = row.get(at)?;
        Ranges::parse(&text).map_err(|error| malformed(error.to_string()))
    };
    let key = StreamKey {
        probe: ProbeId(uuid(row, 0)?),
        epoch: Epoch(uuid(row, 1)?),
        stream: StreamId(row.get(2)?),
    };
    let (bus, on_several_buses) = buses(row.get(3)?)?;
    let stream = Stream {
        bus,
        on_several_buses,
        last_nanoseconds: row.get(4)?,
        received: received(5)?,
        arrived: received(7)?,
        again: counted(9)?,
        reread: counted(11)?,
        duplicate: counted(13)?,
        conflict: counted(15)?,
        place: Place {
            partition: row.get(17)?,
            expiry: Expiry { below: row.get(18)?, until_nanoseconds: row.get(19)? },
        },
        again_at: ranges(20)?,
        conflict_at: ranges(21)?,
        refused_at: ranges(22)?,
        expired: expired(&row.get::<_, String>(23)?)?,
        discarded: discarded(&row.get::<_, String>(24)?)?,
    };
    Ok((key, stream))
}

/// As `kafka`; with a `+` behind it, it came on another one too.
fn buses_text(stream: &Stream) -> String {
    format!("{}{}", stream.bus.name(), if stream.on_several_buses { "+" } else { "" })
}

fn buses(text: String) -> Result<(Bus, bool), Error> {
    let (name, several) = text.strip_suffix('+').map_or((&*text, false), |name| (name, true));
    match Bus::ALL.into_iter().find(|known| known.name() == name) {
        Some(bus) => Ok((bus, several)),
        None => Err(Error::Malformed { table: "received", found: text }),
    }
}

/// As JSON: a list of time and ranges.
fn expired_text(expired: &[Expired]) -> Result<String, Error> {
    let rows: Vec<_> = expired.iter().map(|one| (one.until_nanoseconds, one.ranges.text())).collect();
    serde_json::to_string(&rows).map_err(malformed_list)
}

fn expired(text: &str) -> Result<Vec<Expired>, Error> {
    let rows: Vec<(u64, String)> = serde_json::from_str(text).map_err(malformed_list)?;
    let expired = |(until_nanoseconds, ranges): (_, String)| {
        Ok(Expired { until_nanoseconds, ranges: Ranges::parse(&ranges).map_err(malformed_list)? })
    };
    rows.into_iter().map(expired).collect()
}

/// As JSON: a list of reason, ranges, records.
fn discarded_text(discarded: &[Discarded]) -> Result<String, Error> {
    let rows: Vec<_> = discarded.iter().map(|one| (one.reason, one.ranges.text(), one.records)).collect();
    serde_json::to_string(&rows).map_err(malformed_list)
}

fn discarded(text: &str) -> Result<Vec<Discarded>, Error> {
    let rows: Vec<(Discard, String, u64)> = serde_json::from_str(text).map_err(malformed_list)?;
    let discarded = |(reason, ranges, records): (_, String, _)| {
        Ok(Discarded { reason, ranges: Ranges::parse(&ranges).map_err(malformed_list)?, records })
    };
    rows.into_iter().map(discarded).collect()
}

fn malformed_list(error: impl std::fmt::Display) -> Error {
    Error::Malformed { table: "received", found: error.to_string() }
}

/// A UUID column.
pub(super) fn uuid(row: &Row<'_>, at: usize) -> Result<Uuid, Error> {
    let octets: Vec<u8> = row.get(at)?;
    let malformed = || Error::Malformed { table: "a UUID column", found: format!("{} octets", octets.len()) };
    Ok(Uuid::from_bytes(octets.as_slice().try_into().map_err(|_| malformed())?))
}

/// Writes one.
pub(super) fn save(connection: &Connection, key: StreamKey, stream: &Stream) -> Result<(), Error> {
    connection.execute(
        &format!(
            "INSERT OR REPLACE INTO received ({COLUMNS})
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ),
        params![
            key.probe.0.as_bytes().as_slice(),
            key.epoch.0.as_bytes().as_slice(),
            key.stream.0,
            buses_text(stream),
            stream.last_nanoseconds,
            stream.received.floor(),
            stream.received.above_text(),
            stream.arrived.floor(),
            stream.arrived.above_text(),
            stream.again.batches,
            stream.again.records,
            stream.reread.batches,
            stream.reread.records,
            stream.duplicate.batches,
            stream.duplicate.records,
            stream.conflict.batches,
            stream.conflict.records,
            stream.place.partition,
            stream.place.expiry.below,
            stream.place.expiry.until_nanoseconds,
            stream.again_at.text(),
            stream.conflict_at.text(),
            stream.refused_at.text(),
            expired_text(&stream.expired)?,
            discarded_text(&stream.discarded)?,
        ],
    )?;
    Ok(())
}
