//! What is known of each stream: its received set, and what came of what arrived.

use std::collections::HashMap;

use duckdb::{Connection, Row, params};
use flow_wire::stamp::{Epoch, ProbeId, StreamId};
use uuid::Uuid;

use super::super::{Bus, Counted, Error, Received, StreamKey};

/// One row of the table `received`.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) bus: Bus,
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
}

/// All of them.
pub(super) fn load(connection: &Connection) -> Result<HashMap<StreamKey, Stream>, Error> {
    let mut statement = connection.prepare("SELECT * FROM received")?;
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
    let key = StreamKey {
        probe: ProbeId(uuid(row, 0)?),
        epoch: Epoch(uuid(row, 1)?),
        stream: StreamId(row.get(2)?),
    };
    let bus: String = row.get(3)?;
    let known = [Bus::Kafka, Bus::Zmq].into_iter().find(|known| known.name() == bus);
    let stream = Stream {
        bus: known.ok_or_else(|| malformed(bus))?,
        last_nanoseconds: row.get(4)?,
        received: received(5)?,
        arrived: received(7)?,
        again: counted(9)?,
        reread: counted(11)?,
        duplicate: counted(13)?,
        conflict: counted(15)?,
    };
    Ok((key, stream))
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
        "INSERT INTO received VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET bus = excluded.bus, last_nanoseconds = excluded.last_nanoseconds,
            floor = excluded.floor, above = excluded.above,
            arrived_floor = excluded.arrived_floor, arrived_above = excluded.arrived_above,
            again_batches = excluded.again_batches, again_records = excluded.again_records,
            reread_batches = excluded.reread_batches, reread_records = excluded.reread_records,
            duplicate_batches = excluded.duplicate_batches, duplicate_records = excluded.duplicate_records,
            conflict_batches = excluded.conflict_batches, conflict_records = excluded.conflict_records",
        params![
            key.probe.0.as_bytes().as_slice(),
            key.epoch.0.as_bytes().as_slice(),
            key.stream.0,
            stream.bus.name(),
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
        ],
    )?;
    Ok(())
}
