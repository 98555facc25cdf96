//! Which sequences of a stream are stored: a contiguous floor, and ranges above it.
//!
//! ```text
//! 0 ############# floor ....###...#....
//!                           └─┘   └ ranges above: batches that came before their elders
//! ```
//! A high-water mark would not do: where message 2 of 6 is refused and 3-5 land, it drops the resent 2 as old.

use std::fmt::Write as _;

/// Ranges above the floor that a set can hold. Each gap is a lost or late batch; a stream with more gaps than this is
/// broken, and the collector refuses what would be one more.
pub const RANGES_MAX: usize = 65_536;

/// The sequences of one stream that are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// All below it are in.
    floor: u64,
    /// Inclusive, ascending, disjoint, not adjacent, above the floor with a gap.
    above: Vec<(u64, u64)>,
}

/// The set is at its bound.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a received set has {RANGES_MAX} gaps: its stream loses more than it delivers; find out what loses its batches"
)]
pub struct Full;

/// A text that is not a set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a list of ascending ranges as 7-9,12-12")]
pub struct Malformed(pub String);

impl Received {
    /// Whether the sequence is in.
    pub fn contains(&self, sequence: u64) -> bool {
        sequence < self.floor || self.position(sequence).is_ok()
    }

    /// Puts a sequence in; `false` = it was there.
    pub fn insert(&mut self, sequence: u64) -> Result<bool, Full> {
        if sequence < self.floor {
            return Ok(false);
        }
        let Err(at) = self.position(sequence) else { return Ok(false) };
        let joins_left = at > 0 && self.above[at - 1].1 + 1 == sequence;
        // `sequence < u64::MAX` wherever a range lies above it.
        let joins_right = at < self.above.len() && self.above[at].0 == sequence + 1;
        match (joins_left, joins_right) {
            (true, true) => {
                self.above[at - 1].1 = self.above[at].1;
                self.above.remove(at);
            }
            (true, false) => self.above[at - 1].1 = sequence,
            (false, true) => self.above[at].0 = sequence,
            (false, false) if sequence == self.floor => self.floor += 1,
            (false, false) if self.above.len() == RANGES_MAX => return Err(Full),
            (false, false) => self.above.insert(at, (sequence, sequence)),
        }
        self.raise_floor();
        Ok(true)
    }

    /// The ranges that miss below `next`, at most `most` of them, and how many sequences miss in all.
    pub fn missing_below(&self, next: u64, most: usize) -> (Vec<(u64, u64)>, u64) {
        let (mut ranges, mut count, mut from) = (Vec::new(), 0, self.floor);
        let ends = self.above.iter().copied().chain([(next, next)]);
        for (first, last) in ends {
            let until = first.min(next);
            if from < until {
                count += until - from;
                if ranges.len() < most {
                    ranges.push((from, until - 1));
                }
            }
            if first >= next {
                break;
            }
            from = last.saturating_add(1);
        }
        (ranges, count)
    }

    /// One more than the highest that is in; 0 while there is none.
    pub fn end(&self) -> u64 {
        self.above.last().map_or(self.floor, |(_, last)| last.saturating_add(1))
    }

    /// All below it are in.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The ranges above the floor, as `7-9,12-12`.
    pub fn above_text(&self) -> String {
        let mut text = String::new();
        for (at, (first, last)) in self.above.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}{first}-{last}");
        }
        text
    }

    /// From what [`Received::floor`] and [`Received::above_text`] gave.
    pub fn parse(floor: u64, above: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed(above.to_owned());
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for word in above.split(',').filter(|word| !word.is_empty()) {
            let (first, last) = word.split_once('-').ok_or_else(malformed)?;
            let range: (u64, u64) =
                (first.parse().map_err(|_| malformed())?, last.parse().map_err(|_| malformed())?);
            let before = ranges.last().map_or(floor, |(_, last)| last + 1);
            if range.0 > range.1 || range.0 <= before || range.1 == u64::MAX {
                return Err(malformed());
            }
            ranges.push(range);
        }
        if ranges.len() > RANGES_MAX {
            return Err(malformed());
        }
        Ok(Self { floor, above: ranges })
    }

    /// `Ok(i)`: in range i. `Err(i)`: would stand before range i.
    fn position(&self, sequence: u64) -> Result<usize, usize> {
        self.above.binary_search_by(|&(first, last)| {
            if last < sequence {
                std::cmp::Ordering::Less
            } else if first > sequence {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Equal
            }
        })
    }

    fn raise_floor(&mut self) {
        while self.above.first().is_some_and(|(first, _)| *first <= self.floor) {
            self.floor = self.above.remove(0).1 + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_resent_batch_below_later_ones_is_still_wanted() {
        let mut set = Received::default();
        for sequence in [0, 1, 3, 4, 5] {
            assert_eq!(set.insert(sequence), Ok(true));
        }
        assert!(!set.contains(2));
        assert_eq!(set.missing_below(6, 10), (vec![(2, 2)], 1));
        assert_eq!(set.insert(2), Ok(true));
        assert_eq!((set.floor(), set.above_text().as_str()), (6, ""));
        assert_eq!(set.insert(2), Ok(false));
    }

    #[test]
    fn the_bound_holds() {
        let mut set = Received::default();
        for gap in 0..RANGES_MAX as u64 {
            set.insert(2 * gap + 1).unwrap();
        }
        assert_eq!(set.insert(4 * RANGES_MAX as u64), Err(Full));
        assert_eq!(set.insert(0), Ok(true));
        assert_eq!(set.floor(), 2);
    }

    #[test]
    fn malformed_texts_are_refused() {
        for wrong in ["x", "5", "9-7", "7-8,8-9", "4-5", "7-8,9-9x"] {
            assert_eq!(Received::parse(4, wrong), Err(Malformed(wrong.into())));
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(sequences in proptest::collection::vec(0_u64..60, 0..80), next in 0_u64..70) {
            let (mut set, mut model) = (Received::default(), BTreeSet::new());
            for sequence in sequences {
                prop_assert_eq!(set.insert(sequence), Ok(model.insert(sequence)));
            }
            for sequence in 0..70 {
                prop_assert_eq!(set.contains(sequence), model.contains(&sequence));
            }
            let missing: Vec<u64> = (0..next).filter(|sequence| !model.contains(sequence)).collect();
            let (ranges, count) = set.missing_below(next, usize::MAX);
            prop_assert_eq!(count, missing.len() as u64);
            prop_assert_eq!(ranges.into_iter().flat_map(|(a, b)| a..=b).collect::<Vec<_>>(), missing);
            prop_assert_eq!(Received::parse(set.floor(), &set.above_text()), Ok(set));
        }
    }
}
