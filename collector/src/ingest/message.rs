//! One message of the bus: what arrived, and what it is. Nothing in it is believed before it is checked.

use std::sync::LazyLock;

use flow_wire::batch;
use flow_wire::bus::Kind;
use flow_wire::header::{self, Header};
use flow_wire::ledger::Message;
use flow_wire::stamp::Stamp;

use crate::store::{
    Arrival, BODY_KEPT_OCTETS, Batch, Books, Bus, COLUMNS, Mark, Offset, Place, Refusal, RefusalReason,
};

/// A message that came off the bus.
#[derive(Debug)]
pub struct Arrived {
    /// Where its header was sound.
    pub arrival: Option<Arrival>,
    /// What is in it, or why it could not be used.
    pub content: Content,
    /// How far the partition was read with it (Kafka).
    pub offset: Option<Offset>,
}

/// What is in a message.
#[derive(Debug)]
pub enum Content {
    /// Records.
    Flows(Batch),
    /// A ledger message.
    Books(Books),
    /// Something that could not be used.
    Refused(Refusal),
    /// Nothing: a place in a log alone, or a message lost on purpose, which only builds with faults have.
    Nothing,
}

/// Reads a message: the header as the transport gave it, and the body.
pub fn read(bus: Bus, source: &str, header: Result<Header, header::Error>, body: &[u8]) -> Arrived {
    let refused = |reason, detail: String, stamp: Option<(Stamp, u32)>| {
        Content::Refused(Refusal {
            source: source.to_owned(),
            reason,
            detail,
            stamp: stamp.map(|(stamp, _)| stamp),
            records: stamp.map_or(0, |(_, records)| records),
            body: body[..body.len().min(BODY_KEPT_OCTETS)].to_vec(),
        })
    };
    let header = match header {
        Ok(header) if header.stamp.sequence.0 < u64::MAX => header,
        Ok(_) => {
            let detail = "sequence 2^64 - 1 leaves no room for a next one".to_owned();
            return Arrived {
                arrival: None,
                content: refused(RefusalReason::Header, detail, None),
                offset: None,
            };
        }
        Err(error) => {
            let content = refused(reason_of(&error), error.to_string(), None);
            return Arrived { arrival: None, content, offset: None };
        }
    };
    let named = Some((header.stamp, header.rows));
    let content = match header.kind {
        Kind::Flows => flows(&header, body),
        Kind::Ledger => books(&header, body),
    };
    let content = content.unwrap_or_else(|(reason, detail)| refused(reason, detail, named));
    let arrival = Arrival {
        stamp: header.stamp,
        records: header.rows,
        bus,
        refused: matches!(content, Content::Refused(_)),
        reread: false,
        place: Place::default(),
    };
    Arrived { arrival: Some(arrival), content, offset: None }
}

impl Arrived {
    /// What recognises it in a log.
    pub fn mark(&self) -> Option<Mark> {
        match &self.content {
            Content::Flows(batch) => Some(Mark { stamp: batch.stamp, crc32c: batch.crc32c }),
            Content::Books(books) => Some(Mark { stamp: books.stamp, crc32c: books.crc32c }),
            Content::Refused(_) | Content::Nothing => None,
        }
    }
}

type Refused = (RefusalReason, String);

fn flows(header: &Header, body: &[u8]) -> Result<Content, Refused> {
    let reason = |error: batch::Error| match &error {
        batch::Error::Stamp(inside) => (reason_of(inside), error.to_string()),
        batch::Error::TooLong(_) => (RefusalReason::TooLong, error.to_string()),
        _ => (RefusalReason::Body, error.to_string()),
    };
    let decoded = batch::open(header, body).map_err(reason)?;
    let sums = decoded.exported().map_err(reason)?;
    let rows = decoded.batch.project(&ORDER).map_err(|error| (RefusalReason::Body, error.to_string()))?;
    Ok(Content::Flows(Batch {
        stamp: header.stamp,
        crc32c: header.crc32c,
        rows,
        packets: sums.packets,
        layer2_octets: sums.octets,
        body: body.to_vec(),
    }))
}

fn books(header: &Header, body: &[u8]) -> Result<Content, Refused> {
    header.check(body).map_err(|error| (reason_of(&error), error.to_string()))?;
    let mut message = Message::decode(body).map_err(|error| (RefusalReason::Body, error.to_string()))?;
    message.read_from(header.sink);
    Ok(Content::Books(Books {
        stamp: header.stamp,
        crc32c: header.crc32c,
        heard_nanoseconds: super::now_nanoseconds(),
        sink: header.sink,
        body_octets: body.len(),
        message,
    }))
}

fn reason_of(error: &header::Error) -> RefusalReason {
    match error {
        header::Error::Crc { .. } | header::Error::Length { .. } => RefusalReason::Crc,
        header::Error::TooLong(_) => RefusalReason::TooLong,
        _ => RefusalReason::Header,
    }
}

/// Where each column of the table stands in the schema of the wire.
static ORDER: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let schema = flow_wire::batch::schema();
    COLUMNS.iter().filter_map(|column| schema.index_of(column.name).ok()).collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{arrival, record, sealed, stamp};

    #[test]
    fn a_sealed_batch_becomes_rows_of_the_table() {
        let sealed = sealed(stamp(0, 7), &[record(1), record(2)]);
        let arrived = read(Bus::Zmq, "test", Ok(sealed.header), &sealed.body);
        let expected = Arrival { bus: Bus::Zmq, ..arrival(stamp(0, 7), 2) };
        assert_eq!(arrived.arrival, Some(expected));
        let Content::Flows(batch) = &arrived.content else { panic!("{arrived:?}") };
        assert_eq!((batch.packets, batch.layer2_octets), (sealed.exported.packets, sealed.exported.octets));
        let names: Vec<_> = batch.rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert!(names.iter().eq(COLUMNS.iter().map(|column| column.name)));
        assert_eq!(arrived.mark(), Some(Mark { stamp: stamp(0, 7), crc32c: sealed.header.crc32c }));
    }

    #[test]
    fn what_is_broken_is_kept_with_its_reason() {
        let sealed = sealed(stamp(0, 7), &[record(1)]);
        let mut body = sealed.body.clone();
        body[100] ^= 1;
        let arrived = read(Bus::Zmq, "test", Ok(sealed.header), &body);
        let Content::Refused(refusal) = &arrived.content else { panic!("{arrived:?}") };
        assert_eq!((refusal.reason, refusal.records, &refusal.body), (RefusalReason::Crc, 1, &body));
        assert_eq!(
            (arrived.arrival.map(|arrival| arrival.stamp), refusal.stamp),
            (Some(stamp(0, 7)), Some(stamp(0, 7)))
        );

        let arrived = read(Bus::Zmq, "test", Err(header::Error::Magic), b"hello");
        let Content::Refused(refusal) = &arrived.content else { panic!("{arrived:?}") };
        assert_eq!((refusal.reason, arrived.arrival, refusal.stamp), (RefusalReason::Header, None, None));
        let garbage = Header::seal(Kind::Ledger, stamp(9, 9), 0, b"{}");
        let arrived = read(Bus::Zmq, "test", Ok(garbage), b"{}");
        assert!(matches!(arrived.content, Content::Refused(Refusal { reason: RefusalReason::Body, .. })));
    }
}
