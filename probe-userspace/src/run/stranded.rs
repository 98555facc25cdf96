//! What waits in the spool for somebody that no output of this run is: a URL that was changed, an output that was taken out.
//!
//! It is not adopted by an output of another name. Whether both names are one cluster no name says; and what became of the last
//! transaction is known to the broker under the old name alone (`export/kafka/place`).

use std::time::Duration;

use crate::export::Sink;
use crate::spool::{CursorState, Tally};

/// A cursor that nobody reads.
pub(super) struct Stranded<'a> {
    pub(super) name: &'a str,
    pub(super) waiting: Tally,
    /// Time until it is dropped; `None` = this run opens no spool, and drops nothing.
    pub(super) expires_in: Option<Duration>,
}

impl<'a> Stranded<'a> {
    /// Of these cursors, those with something that waits. `ttl` = how long one that nobody uses is kept.
    pub(super) fn among(
        cursors: &'a [CursorState],
        sinks: &[Box<dyn Sink>],
        ttl: Duration,
        now_seconds: u64,
    ) -> Vec<Self> {
        let is_stranded = |cursor: &&CursorState| {
            cursor.waiting.batches > 0 && !cursor.is_dropped && !is_read(&cursor.name, sinks)
        };
        let stranded = |cursor: &'a CursorState| {
            // 0: its time begins now.
            let used_seconds = if cursor.used_seconds == 0 { now_seconds } else { cursor.used_seconds };
            let unused = Duration::from_secs(now_seconds.saturating_sub(used_seconds));
            Self { name: &cursor.name, waiting: cursor.waiting, expires_in: Some(ttl.saturating_sub(unused)) }
        };
        cursors.iter().filter(is_stranded).map(stranded).collect()
    }

    /// For the operator: which, what waits, until when, and both mends.
    pub(super) fn describe(&self) -> String {
        let Self { name, waiting, expires_in } = self;
        let end = expires_in.map_or_else(String::new, |time| {
            let (hours, minutes) = (time.as_secs() / 3_600, time.as_secs() / 60 % 60);
            format!(", and in {hours} h {minutes} min (--cursor-ttl) they are discarded as cursor_dropped")
        });
        format!(
            "spool: {} batches ({} records) wait for {name}, which no output of this run is: nobody sends them{end}. To send them, start with --ntopng {} beside the \
             other outputs until `gannet-probe spool list` says that nothing waits; to be rid of them: gannet-probe spool drop \
             {name}",
            waiting.batches,
            waiting.records,
            url(name)
        )
    }
}

/// A ZMQ sink has a cursor for each store that came.
fn is_read(name: &str, sinks: &[Box<dyn Sink>]) -> bool {
    let is_store = |rest: &str| rest.starts_with('/');
    sinks.iter().any(|sink| {
        (sink.is_durable() && sink.name() == name)
            || (sink.opens_cursors() && name.strip_prefix(&sink.name()).is_some_and(is_store))
    })
}

/// Of the output that had this cursor.
fn url(name: &str) -> &str {
    match name.rsplit_once('/') {
        Some((url, _)) if name.starts_with("zmq") => url,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::outbox::{Cursor, Outbox, Wanted};
    use crate::spool::{Options, Spool, Sync};
    use flow_wire::batch::Sealed;
    use flow_wire::bus::Kind;
    use flow_wire::header::Header;
    use flow_wire::ledger::{Amount, Guarantee};
    use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
    use std::sync::Arc;
    use uuid::Uuid;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// Of Kafka's kind, or of ZMQ's.
    struct Named(&'static str);

    impl Sink for Named {
        fn name(&self) -> String {
            self.0.to_owned()
        }

        fn guarantee(&self) -> Guarantee {
            Guarantee::ExactlyOnce
        }

        fn is_durable(&self) -> bool {
            self.0.starts_with("kafka")
        }

        fn opens_cursors(&self) -> bool {
            self.0.starts_with("zmq")
        }

        fn run(self: Box<Self>, _: Cursor) {}
    }

    /// A spool in which seven records wait for each of these.
    fn cursors(names: &[&'static str]) -> Vec<CursorState> {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            quota_octets: 16 << 20,
            segment_octets: 4 << 20,
            age: HOUR,
            cursor_ttl: HOUR,
            memory_octets: 0,
            sync: Sync::None,
        };
        let open = || Spool::open(folder.path(), ProbeId(Uuid::nil()), options, None).unwrap().0;
        let wanted: Vec<_> =
            names.iter().map(|name| Wanted { is_durable: true, ..Wanted::by(&Named(name)) }).collect();
        let outbox = Outbox::over(&wanted, 0, Some(open()));
        let (probe, epoch) = (ProbeId(Uuid::nil()), Epoch(Uuid::nil()));
        let stamp = Stamp { probe, epoch, stream: StreamId(0), sequence: Sequence(0) };
        let header = Header::seal(Kind::Flows, stamp, 7, b"x");
        outbox.append(&Arc::new(Sealed { header, body: b"x".to_vec(), exported: Amount::ZERO }));
        drop(outbox);
        open().cursors()
    }

    fn names(cursors: &[CursorState], sinks: &[&'static str]) -> Vec<String> {
        let sinks: Vec<Box<dyn Sink>> =
            sinks.iter().map(|name| Box::new(Named(name)) as Box<dyn Sink>).collect();
        Stranded::among(cursors, &sinks, HOUR, 0).iter().map(|stranded| stranded.name.to_owned()).collect()
    }

    #[test]
    fn what_waits_for_another_name_is_stranded() {
        let cursors = cursors(&["kafka://a:1", "zmq://b:2/store"]);
        let none: [String; 0] = [];
        assert_eq!(names(&cursors, &["kafka://a:1", "zmq://b:2"]), none);
        assert_eq!(names(&cursors, &["kafka://a:1,c:1", "zmq://b:2"]), ["kafka://a:1"]);
        assert_eq!(names(&cursors, &["kafka://a:1", "zmq://b:22"]), ["zmq://b:2/store"]);
        assert_eq!(names(&cursors, &[]).len(), 2);
    }

    #[test]
    fn it_is_said_until_when_it_is_kept_and_how_it_is_mended() {
        let cursors = cursors(&["kafka://a:1"]);
        let now_seconds = cursors[0].used_seconds + 600;
        let said = Stranded::among(&cursors, &[], HOUR, now_seconds)[0].describe();
        for words in [
            "1 batches (7 records) wait for kafka://a:1",
            "in 0 h 50 min",
            "--ntopng kafka://a:1",
            "spool drop kafka://a:1",
        ] {
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn the_output_of_a_stores_cursor_is_named_without_the_store() {
        assert_eq!(url("zmq://b:2/store"), "zmq://b:2");
        assert_eq!(url("kafka://a:1"), "kafka://a:1");
    }
}
