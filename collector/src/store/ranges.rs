//! Sequences as ranges: what was discarded, expired, doubled, refused. Small beside what they count, since losses come in
//! runs.

use std::fmt::Write as _;

use serde::{Serialize, Serializer};

use super::received::{Malformed, RANGES_MAX};

/// Ascending ranges, both ends included, disjoint and not adjacent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Puts a range in; `false` = it would be one more than [`RANGES_MAX`], and is left out.
    pub fn insert(&mut self, first: u64, last: u64) -> bool {
        debug_assert!(first <= last);
        // The ranges that touch it, which become one with it.
        let from = self.0.partition_point(|range| range.1.saturating_add(1) < first);
        let to = self.0.partition_point(|range| range.0 <= last.saturating_add(1));
        if from == to && self.0.len() == RANGES_MAX {
            return false;
        }
        let touched = self.0.get(from..to).unwrap_or_default();
        let first = touched.first().map_or(first, |range| range.0.min(first));
        let last = touched.last().map_or(last, |range| range.1.max(last));
        self.0.splice(from..to, [(first, last)]);
        true
    }

    /// The same ranges, in order.
    pub fn of(ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut all = Self::default();
        for (first, last) in ranges {
            all.insert(first, last);
        }
        all
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether a sequence is in.
    pub fn contains(&self, sequence: u64) -> bool {
        let at = self.0.partition_point(|range| range.1 < sequence);
        self.0.get(at).is_some_and(|range| range.0 <= sequence)
    }

    /// How many sequences are in.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    /// Whether none is in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is in both, and what is in this one alone.
    #[must_use]
    pub fn split(&self, by: &Self) -> (Self, Self) {
        let (mut both, mut alone) = (Self::default(), Self::default());
        let mut others = by.0.iter().peekable();
        for &(mut first, last) in &self.0 {
            while others.next_if(|other| other.1 < first).is_some() {}
            let mut ended = false;
            for &(other_first, other_last) in others.clone().take_while(|other| other.0 <= last) {
                if first < other_first {
                    alone.0.push((first, other_first - 1));
                }
                both.0.push((first.max(other_first), last.min(other_last)));
                ended = other_last >= last;
                first = other_last.saturating_add(1);
            }
            if !ended && first <= last {
                alone.0.push((first, last));
            }
        }
        (both, alone)
    }

    /// As `7-9,12-12`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (at, (first, last)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}{first}-{last}");
        }
        text
    }

    /// From what [`Ranges::text`] gave.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed(text.to_owned());
        let mut ranges = Self::default();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let (first, last) = word.split_once('-').ok_or_else(malformed)?;
            let range: (u64, u64) =
                (first.parse().map_err(|_| malformed())?, last.parse().map_err(|_| malformed())?);
            let adjacent = |before: &(u64, u64)| before.1.saturating_add(1) >= range.0;
            if range.0 > range.1 || ranges.0.last().is_some_and(adjacent) || ranges.0.len() == RANGES_MAX {
                return Err(malformed());
            }
            ranges.0.push(range);
        }
        Ok(ranges)
    }
}

/// As pairs.
impl Serialize for Ranges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn any_ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
        proptest::collection::vec(
            (0_u64..60, 0_u64..6).prop_map(|(first, more)| (first, first + more)),
            0..12,
        )
    }

    fn set(ranges: &Ranges) -> BTreeSet<u64> {
        ranges.iter().flat_map(|(first, last)| first..=last).collect()
    }

    proptest! {
        #[test]
        fn they_agree_with_plain_sets(one in any_ranges(), other in any_ranges()) {
            let (these, those) = (Ranges::of(one.clone()), Ranges::of(other));
            let plain: BTreeSet<u64> = one.into_iter().flat_map(|(first, last)| first..=last).collect();
            prop_assert_eq!(set(&these), plain.clone());
            prop_assert_eq!(these.count(), plain.len() as u64);
            let (both, alone) = these.split(&those);
            let others = set(&those);
            prop_assert_eq!(set(&both), plain.intersection(&others).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(set(&alone), plain.difference(&others).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(Ranges::parse(&these.text()), Ok(these.clone()));
            prop_assert!(these.iter().zip(these.iter().skip(1)).all(|(before, after)| before.1 + 1 < after.0));
        }
    }

    #[test]
    fn the_bound_holds_and_wrong_texts_are_refused() {
        let mut ranges = Ranges::of((0..RANGES_MAX as u64).map(|at| (2 * at, 2 * at)));
        assert!(!ranges.insert(u64::MAX, u64::MAX));
        assert!(ranges.insert(1, 1));
        for wrong in ["x", "5", "9-7", "7-8,9-9", "7-8,3-4"] {
            assert_eq!(Ranges::parse(wrong), Err(Malformed(wrong.into())));
        }
    }
}
