//! Numbers that change all at once: two halves, and one word that says which of them holds.
//!
//! ```text
//!   word 0           word 1            half 0            half 1
//! | generation      | prepared        | n words         | n words |      half = generation % 2
//! ```
//! A writer fills the half that does not hold, then stores the generation: one store, so a kill finds either all of the old
//! numbers or all of the new ones. With `prepare` the numbers are put there first, something else happens (a batch goes
//! into the spool), and `commit` makes them hold: who finds a bank that is prepared and not committed must ask whether
//! the something has happened.

use super::memory::{Memory, Owned, part_octets};
use super::step::step;

const GENERATION: usize = 0;
const PREPARED: usize = 1;
/// Words before the halves: a cache line.
const HEAD_WORDS: usize = 8;

/// `N` numbers.
pub(crate) struct Bank<const N: usize>(Owned<u64>);

impl<const N: usize> Bank<N> {
    /// Octets of a mapping that it takes.
    pub(crate) const OCTETS: usize = part_octets((HEAD_WORDS + 2 * N) * size_of::<u64>());

    pub(crate) fn of(memory: &mut Memory) -> Self {
        Self(memory.owned(HEAD_WORDS + 2 * N))
    }

    /// How often numbers were made to hold.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.0[GENERATION]
    }

    /// The numbers that hold; zeros before the first.
    pub(crate) fn numbers(&self) -> [u64; N] {
        self.half(self.0[GENERATION])
    }

    /// Makes numbers hold.
    #[inline]
    pub(crate) fn write(&mut self, numbers: &[u64; N]) {
        let next = self.0[GENERATION].wrapping_add(1);
        self.fill(next, numbers);
        step();
        self.0[GENERATION] = next;
        step();
    }

    /// Puts numbers there that will hold once [`Bank::commit`] is called.
    pub(crate) fn prepare(&mut self, numbers: &[u64; N]) {
        let next = self.0[GENERATION].wrapping_add(1);
        self.fill(next, numbers);
        step();
        self.0[PREPARED] = next;
        step();
    }

    /// What was prepared holds.
    pub(crate) fn commit(&mut self) {
        step();
        self.0[GENERATION] = self.0[PREPARED];
        step();
    }

    /// What was prepared and not committed.
    pub(crate) fn prepared(&self) -> Option<[u64; N]> {
        let next = self.0[GENERATION].wrapping_add(1);
        (self.0[PREPARED] == next).then(|| self.half(next))
    }

    /// What was prepared has not happened.
    pub(crate) fn take_back(&mut self) {
        self.0[PREPARED] = self.0[GENERATION];
        step();
    }

    #[inline]
    fn fill(&mut self, generation: u64, numbers: &[u64; N]) {
        let start = Self::start(generation);
        self.0[start..start + N].copy_from_slice(numbers);
    }

    fn half(&self, generation: u64) -> [u64; N] {
        let start = Self::start(generation);
        std::array::from_fn(|at| self.0[start + at])
    }

    #[inline]
    const fn start(generation: u64) -> usize {
        HEAD_WORDS + (generation & 1) as usize * N
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::kill;
    use super::*;

    #[test]
    fn a_kill_finds_all_old_or_all_new_numbers() {
        for after in 0.. {
            let mut bank = Bank::<3>::of(&mut Memory::anonymous(Bank::<3>::OCTETS).unwrap());
            bank.write(&[1, 2, 3]);
            let ended = kill::after(after, || bank.write(&[4, 5, 6]));
            assert!([[1, 2, 3], [4, 5, 6]].contains(&bank.numbers()));
            if ended {
                assert_eq!((bank.numbers(), bank.generation()), ([4, 5, 6], 2));
                break;
            }
        }
    }

    #[test]
    fn what_is_prepared_holds_once_it_is_committed() {
        let mut bank = Bank::<1>::of(&mut Memory::anonymous(Bank::<1>::OCTETS).unwrap());
        assert_eq!(bank.prepared(), None);
        bank.prepare(&[7]);
        assert_eq!((bank.numbers(), bank.prepared()), ([0], Some([7])));
        bank.take_back();
        assert_eq!((bank.numbers(), bank.prepared()), ([0], None));
        bank.prepare(&[8]);
        bank.commit();
        assert_eq!((bank.numbers(), bank.prepared()), ([8], None));
    }
}
