//! The order of sending: frames in turn, so many copies at a time, the whole so many times.

/// Copies of one frame, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which frame.
    pub frame: usize,
    /// How many copies.
    pub copies: u32,
}

/// Goes round all frames, `burst` copies at each visit, until each has had its copies; then again, `loops` times.
#[derive(Clone, Debug)]
pub struct Schedule {
    copies: Vec<u32>,
    remaining: Vec<u32>,
    remaining_copies: u64,
    position: usize,
    /// Copies still due at the present visit.
    visit: u32,
    burst: u32,
    /// Loops not yet begun.
    loops: u64,
    /// Loops begun.
    begun: u64,
}

impl Schedule {
    /// A schedule at its beginning, by how many copies each frame has. `burst` of 0 is 1.
    #[must_use]
    pub fn new(copies: Vec<u32>, burst: u32, loops: u64) -> Self {
        let mut schedule = Self {
            copies,
            remaining: Vec::new(),
            remaining_copies: 0,
            position: 0,
            visit: 0,
            burst: burst.max(1),
            loops,
            begun: 0,
        };
        schedule.next_loop();
        schedule
    }

    fn next_loop(&mut self) {
        if self.loops == 0 {
            return;
        }
        self.loops -= 1;
        self.begun += 1;
        self.remaining.clone_from(&self.copies);
        self.remaining_copies = self.copies.iter().map(|copies| u64::from(*copies)).sum();
        self.position = 0;
        self.visit = self.remaining.first().map_or(0, |remaining| self.burst.min(*remaining));
    }

    /// How many loops are over before the one that the last step was of.
    #[must_use]
    pub fn loops_over(&self) -> u64 {
        self.begun.saturating_sub(1)
    }

    /// The next step, of at most `most` copies. `None` = all is sent.
    pub fn next(&mut self, most: u32) -> Option<Step> {
        if self.remaining_copies == 0 {
            self.next_loop();
        }
        if self.remaining_copies == 0 || most == 0 {
            return None;
        }
        while self.visit == 0 {
            self.position = (self.position + 1) % self.remaining.len();
            self.visit = self.burst.min(self.remaining[self.position]);
        }
        let copies = self.visit.min(most);
        self.visit -= copies;
        self.remaining[self.position] -= copies;
        self.remaining_copies -= u64::from(copies);
        Some(Step { frame: self.position, copies })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(copies: &[u32], burst: u32, loops: u64, most: u32) -> Vec<(usize, u32)> {
        let mut schedule = Schedule::new(copies.to_vec(), burst, loops);
        std::iter::from_fn(|| schedule.next(most)).map(|step| (step.frame, step.copies)).collect()
    }

    #[test]
    fn frames_take_turns_until_each_has_had_its_copies() {
        assert_eq!(steps(&[3, 1, 2], 1, 1, 9), [(0, 1), (1, 1), (2, 1), (0, 1), (2, 1), (0, 1)]);
        assert_eq!(steps(&[3, 1], 2, 2, 9), [(0, 2), (1, 1), (0, 1), (0, 2), (1, 1), (0, 1)]);
    }

    #[test]
    fn a_visit_that_is_cut_short_goes_on_with_the_same_frame() {
        assert_eq!(steps(&[5, 2], 4, 1, 3), [(0, 3), (0, 1), (1, 2), (0, 1)]);
    }

    #[test]
    fn nothing_to_send_is_no_step() {
        assert_eq!(steps(&[], 1, 5, 9), []);
        assert_eq!(steps(&[0, 0], 1, u64::MAX, 9).len(), 0);
        assert_eq!(steps(&[1], 1, 0, 9), []);
    }
}
