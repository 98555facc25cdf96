//! What became of the sequences of a stream that are not simply stored: each is named once, by the first that explains it.

use flow_wire::ledger::Discard;
use serde::Serialize;

use crate::store::{Ranges, StreamBooks};

/// Ranges of one fate that a report names.
const RANGES_SHOWN: usize = 100;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Below the cut, and may still come.
    Late,
    /// It never came, and nothing says why.
    Missing,
    /// The probe will not send it, and says why.
    Discarded,
    /// The bus did not keep it until it was read.
    Expired,
    /// It came and could not be used.
    Refused,
    /// It came more than once, and is stored once.
    Doubled,
    /// It came again with another content, which is kept aside.
    Conflict,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Late,
        Self::Missing,
        Self::Discarded,
        Self::Expired,
        Self::Refused,
        Self::Doubled,
        Self::Conflict,
    ];

    /// As in JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Missing => "missing",
            Self::Discarded => "discarded",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Doubled => "doubled",
            Self::Conflict => "conflict",
        }
    }
}

/// The batches of one fate.
#[derive(Debug, Serialize)]
pub struct Fated {
    /// What became of them.
    pub fate: Fate,
    /// Why they were discarded.
    pub reason: Option<Discard>,
    /// How many.
    pub batches: u64,
    /// Their sequences, both ends included; the first hundred ranges.
    pub ranges: Vec<(u64, u64)>,
}

/// The sequences below a cut that did not come.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// By reason, a sequence once.
    pub(super) discarded: Vec<(Discard, Ranges)>,
    pub(super) expired: Ranges,
    pub(super) missing: Ranges,
    pub(super) late: Ranges,
}

impl Gaps {
    /// `drained`: the bus was read to its end since the cut came, so that nothing below it can still come.
    pub(super) fn of(books: &StreamBooks, next: u64, drained: bool) -> Self {
        let (all, _) = books.arrived.missing_below(next, usize::MAX);
        let (_, mut rest) = Ranges::of(all).split(&books.refused_at);
        let mut discarded = Vec::new();
        for known in &books.discarded {
            let (gone, left) = rest.split(&known.ranges);
            if !gone.is_empty() {
                discarded.push((known.reason, gone));
            }
            rest = left;
        }
        let (expired, rest) = rest.split(&expired(books, next, drained));
        let behind = Ranges::of(behind(books, next));
        let (after_last, before) = rest.split(&behind);
        let (missing, late) = if drained { (rest, Ranges::default()) } else { (before, after_last) };
        Self { discarded, expired, missing, late }
    }

    /// Those that will not come.
    pub(super) fn certain(&self) -> u64 {
        let discarded: u64 = self.discarded.iter().map(|(_, ranges)| ranges.count()).sum();
        discarded + self.expired.count() + self.missing.count()
    }

    /// With what came and has a fate all the same.
    pub(super) fn report(&self, books: &StreamBooks) -> Vec<Fated> {
        let of = |fate, ranges: &Ranges| fated(fate, None, ranges);
        let discarded =
            self.discarded.iter().map(|(reason, ranges)| fated(Fate::Discarded, Some(*reason), ranges));
        let (_, doubled) = books.again_at.split(&books.conflict_at);
        let all = [
            of(Fate::Late, &self.late),
            of(Fate::Missing, &self.missing),
            of(Fate::Expired, &self.expired),
            of(Fate::Refused, &books.refused_at),
            of(Fate::Doubled, &doubled),
            of(Fate::Conflict, &books.conflict_at),
        ];
        all.into_iter().chain(discarded).filter(|fated| fated.batches > 0).collect()
    }
}

fn fated(fate: Fate, reason: Option<Discard>, ranges: &Ranges) -> Fated {
    Fated { fate, reason, batches: ranges.count(), ranges: ranges.iter().take(RANGES_SHOWN).collect() }
}

/// What retention took, behind the last batch as well: but that is sure only once the bus was read to its end.
fn expired(books: &StreamBooks, next: u64, drained: bool) -> Ranges {
    let mut expired = books.expired.clone();
    if books.expired_behind
        && drained
        && let Some((first, last)) = behind(books, next)
    {
        expired.insert(first, last);
    }
    expired
}

/// From behind the last batch that came up to the cut.
fn behind(books: &StreamBooks, next: u64) -> Option<(u64, u64)> {
    let end = books.arrived.end();
    (end < next).then(|| (end, next - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Discarded, Received};

    fn books(arrived: &[u64]) -> StreamBooks {
        let mut set = Received::default();
        for sequence in arrived {
            set.insert(*sequence).unwrap();
        }
        StreamBooks { arrived: set, ..StreamBooks::default() }
    }

    fn text(gaps: &Gaps) -> [String; 4] {
        let discarded: Vec<_> = gaps.discarded.iter().map(|(_, ranges)| ranges.text()).collect();
        [discarded.join(";"), gaps.expired.text(), gaps.missing.text(), gaps.late.text()]
    }

    #[test]
    fn each_sequence_has_one_fate() {
        let discarded =
            |reason, ranges: (u64, u64)| Discarded { reason, ranges: Ranges::of([ranges]), records: 1 };
        let mut books = books(&[0, 1, 9, 10]);
        books.discarded = vec![discarded(Discard::SpoolQuota, (0, 3)), discarded(Discard::SpoolAge, (3, 4))];
        books.expired = Ranges::of([(4, 6)]);
        assert_eq!(text(&Gaps::of(&books, 13, false)), ["2-3;4-4", "5-6", "7-8", "11-12"]);
        assert_eq!(text(&Gaps::of(&books, 13, true)), ["2-3;4-4", "5-6", "7-8,11-12", ""]);
        assert_eq!(Gaps::of(&books, 13, true).certain(), 9);
    }

    #[test]
    fn nobody_waits_for_what_was_discarded() {
        let mut books = books(&[0]);
        books.discarded =
            vec![Discarded { reason: Discard::SpoolQuota, ranges: Ranges::of([(1, 4)]), records: 40 }];
        assert_eq!(text(&Gaps::of(&books, 6, false)), ["1-4", "", "", "5-5"]);
    }

    #[test]
    fn what_came_and_could_not_be_used_is_not_missing() {
        let mut books = books(&[0, 2]);
        books.refused_at = Ranges::of([(1, 1)]);
        let gaps = Gaps::of(&books, 3, true);
        assert_eq!((text(&gaps), gaps.certain()), ([(); 4].map(|()| String::new()), 0));
        assert_eq!(gaps.report(&books)[0].fate, Fate::Refused);
    }

    #[test]
    fn behind_the_last_batch_retention_explains_only_what_can_no_longer_come() {
        let mut books = books(&[0, 1]);
        books.expired_behind = true;
        assert_eq!(text(&Gaps::of(&books, 5, false)), ["", "", "", "2-4"]);
        assert_eq!(text(&Gaps::of(&books, 5, true)), ["", "2-4", "", ""]);
    }
}
