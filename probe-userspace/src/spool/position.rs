//! Where an entry lies in the life of a spool.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bits of the index: a start would have to append a million batches a second for two weeks to use them up.
const INDEX_BITS: u32 = 40;

/// Starts that fit above them: 63 bits in all, since a Kafka offset is signed.
pub(super) const GENERATIONS: u64 = 1 << (63 - INDEX_BITS);

/// Generation (which start) and index in it: strictly monotone over all starts, also where the tail of a former one was
/// lost, so that a position which a broker keeps never comes to mean another batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before everything.
    pub const ZERO: Self = Self(0);

    /// The first one of a start.
    ///
    /// # Panics
    /// After eight million starts: [`super::Identity`] is held against it first.
    pub fn of_generation(generation: u64) -> Self {
        assert!(generation < GENERATIONS, "a spool has at most {GENERATIONS} starts: remove it");
        Self(generation << INDEX_BITS)
    }

    /// The one behind it.
    #[must_use]
    pub const fn after(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Which start it is of.
    pub const fn generation(self) -> u64 {
        self.0 >> INDEX_BITS
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation(), self.0 & ((1 << INDEX_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_start_is_behind_everything_of_an_earlier_one() {
        let end_of_first = Position(Position::of_generation(2).0 - 1);
        assert!(Position::of_generation(1) < end_of_first && end_of_first < Position::of_generation(2));
        assert_eq!(end_of_first.after().to_string(), "2.0");
    }
}
