//! What had gathered while the collector was away: said while it is worked off, and when it is.

use std::time::{Duration, Instant};

/// So often at most: a backlog of an hour gives a handful of lines.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Fewer offsets are what is under way: a message or two a second of each probe.
const LEAST_OFFSETS: u64 = 100;

/// Progress since the backlog was seen.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    begun: Option<Begun>,
    records: u64,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Instant,
    said: Option<Instant>,
    records: u64,
    left: u64,
}

impl Backlog {
    /// Counts the records of a message.
    pub(super) fn read(&mut self, records: u32) {
        self.records += u64::from(records);
    }

    /// Offsets that were on the bus at the last question and are not read yet, where one is open. A sentence, when it is time.
    pub(super) fn tick(&mut self, now: Instant, left: u64) -> Option<String> {
        if self.begun.is_none() && left < LEAST_OFFSETS {
            return None;
        }
        let begun = *self.begun.get_or_insert(Begun { at: now, said: None, records: self.records, left });
        let (seconds, records) = (now.duration_since(begun.at).as_secs_f64(), self.records - begun.records);
        if left == 0 {
            self.begun = None;
            return begun.said.map(|_| format!("the backlog is read: {records} records in {seconds:.0} s"));
        }
        if now.duration_since(begun.said.unwrap_or(begun.at)) < SAY_EVERY {
            return None;
        }
        self.begun = Some(Begun { said: Some(now), ..begun });
        Some(format!(
            "reading the backlog: {records} records read, about {left} offsets to go, {:.0} records/s, {}",
            records as f64 / seconds,
            end(begun.left.saturating_sub(left), left, seconds)
        ))
    }
}

/// When it will be read, at the rate so far.
fn end(done: u64, left: u64, seconds: f64) -> String {
    match done {
        0 => "no end in sight yet".to_owned(),
        done => format!("about {:.0} s left", left as f64 * seconds / done as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_said_every_ten_seconds_and_when_it_is_read() {
        let (mut backlog, begin) = (Backlog::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        backlog.read(50);
        assert_eq!(backlog.tick(at(0), 1_000), None);
        backlog.read(700);
        assert_eq!(backlog.tick(at(9), 400), None);
        let said = backlog.tick(at(10), 300).unwrap();
        assert_eq!(
            said,
            "reading the backlog: 700 records read, about 300 offsets to go, 70 records/s, about 4 s left"
        );
        assert_eq!(backlog.tick(at(19), 10), None);
        backlog.read(300);
        assert_eq!(backlog.tick(at(21), 0).unwrap(), "the backlog is read: 1000 records in 21 s");
    }

    #[test]
    fn what_is_read_at_once_is_no_news() {
        let (mut backlog, begin) = (Backlog::default(), Instant::now());
        for second in 0..100 {
            assert_eq!(backlog.tick(begin + Duration::from_secs(second), second % 2), None);
        }
    }

    #[test]
    fn a_reader_that_gets_nothing_promises_no_end() {
        let (mut backlog, begin) = (Backlog::default(), Instant::now());
        backlog.tick(begin, 900);
        assert!(backlog.tick(begin + SAY_EVERY, 900).unwrap().ends_with("no end in sight yet"));
    }
}
