//! What is known of each stream: its received set, and what came of what arrived.

use std::collections::HashMap;

use duckdb::{Connection, Row, params};
use flow_wire::stamp::{Epoch, ProbeId, StreamId};
use uuid::Uuid;

use super::super::{Counted, Error, Received, StreamKey};

/// One row of the table `received`.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) received: Received,
    pub(super) arrived: Counted,
    pub(super) duplicate: Counted,
    pub(super) conflict: Counted,
    pub(super) refused: Counted,
    pub(super) last_nanoseconds: u64,
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
    let key = StreamKey {
        probe: ProbeId(uuid(row, 0)?),
        epoch: Epoch(uuid(row, 1)?),
        stream: StreamId(row.get(2)?),
    };
    let above: String = row.get(4)?;
    let stream = Stream {
        received: Received::parse(row.get(3)?, &above).map_err(|error| malformed(error.to_string()))?,
        arrived: counted(5)?,
        duplicate: counted(7)?,
        conflict: counted(9)?,
        refused: counted(11)?,
        last_nanoseconds: row.get(13)?,
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
        "INSERT INTO received VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET floor = excluded.floor, above = excluded.above,
            arrived_batches = excluded.arrived_batches, arrived_records = excluded.arrived_records,
            duplicate_batches = excluded.duplicate_batches, duplicate_records = excluded.duplicate_records,
            conflict_batches = excluded.conflict_batches, conflict_records = excluded.conflict_records,
            refused_batches = excluded.refused_batches, refused_records = excluded.refused_records,
            last_nanoseconds = excluded.last_nanoseconds",
        params![
            key.probe.0.as_bytes().as_slice(),
            key.epoch.0.as_bytes().as_slice(),
            key.stream.0,
            stream.received.floor(),
            stream.received.above_text(),
            stream.arrived.batches,
            stream.arrived.records,
            stream.duplicate.batches,
            stream.duplicate.records,
            stream.conflict.batches,
            stream.conflict.records,
            stream.refused.batches,
            stream.refused.records,
            stream.last_nanoseconds,
        ],
    )?;
    Ok(())
}
