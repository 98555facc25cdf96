//! Frames that are kept in memory, sent so many times.

use std::time::Duration;

use super::rewrite::other_addresses;
use super::{Burst, Model, Schedule, Shot, Source, Traffic};
use crate::flows::Line;

/// The frames of a model of equal flows, or of a capture.
#[derive(Clone, Debug)]
pub struct Looped {
    traffic: Traffic,
    schedule: Schedule,
    /// Arrived copies of each frame.
    arrived: Vec<u64>,
    model: Option<Model>,
    unique_ip: bool,
}

impl Looped {
    /// `burst` copies of a frame in a row, all of it `loops` times; no truth.
    #[must_use]
    pub fn new(traffic: Traffic, burst: u32, loops: u64) -> Self {
        let schedule = Schedule::new(traffic.copies().to_vec(), burst, loops);
        let arrived = vec![0; traffic.count()];
        Self { traffic, schedule, arrived, model: None, unique_ip: false }
    }

    /// With the truth of the model that `traffic` is of.
    #[must_use]
    pub fn with_truth(self, model: Model) -> Self {
        Self { model: Some(model), ..self }
    }

    /// Each loop but the first with other addresses, so that its flows are new ones.
    #[must_use]
    pub fn with_unique_ip(self, unique_ip: bool) -> Self {
        Self { unique_ip, ..self }
    }
}

impl Source for Looped {
    fn fill(&mut self, burst: &mut Burst, most: u32) {
        burst.clear();
        let mut left = most;
        while let Some(step) = self.schedule.next(left) {
            left -= step.copies;
            let number = if self.unique_ip { self.schedule.loops_over() } else { 0 };
            burst.push(step.copies, Duration::ZERO, step.frame, |octets| {
                let start = octets.len();
                octets.extend_from_slice(self.traffic.frame(step.frame));
                other_addresses(&mut octets[start..], number);
                0
            });
        }
    }

    fn arrived(&mut self, _: &Burst, shot: &Shot, copies: u64) {
        self.arrived[shot.number] += copies;
    }

    fn truth(&self) -> Box<dyn Iterator<Item = Line> + '_> {
        match &self.model {
            Some(model) => Box::new(model.truth(&self.arrived)),
            None => Box::new(std::iter::empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::craft::{Ethernet, packet, udp};

    /// Frames of a capture of one packet, sent three times.
    fn frames(unique_ip: bool) -> Vec<Vec<u8>> {
        let segment = udp("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap(), &[]);
        let mut traffic = Traffic::default();
        assert!(traffic.push(&Ethernet::default().frame(&packet(&segment)), 1));
        let mut looped = Looped::new(traffic, 1, 3).with_unique_ip(unique_ip);
        let mut burst = Burst::default();
        looped.fill(&mut burst, 9);
        burst.shots().iter().map(|shot| burst.frame(shot).to_vec()).collect()
    }

    #[test]
    fn each_loop_has_other_addresses_only_where_that_is_asked_for() {
        let same = frames(false);
        assert!(same.len() == 3 && same.iter().all(|frame| *frame == same[0]));
        let other = frames(true);
        assert_eq!(other[0], same[0], "the first loop is the capture as it is");
        assert!(other[1] != other[0] && other[2] != other[0] && other[2] != other[1]);
    }
}
