//! The capture filter before a source that has no XDP program: a packet socket, a capture file. What it does not select
//! is counted as passed, as the program would.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use flow_wire::ledger::{Amount, Pass, QueueTerms};
use xdp_abi::filter::selects;

use super::selection::{Follower, InForce, Selection};
use super::xdp::CaptureFilter;
use super::{BURST_CAPACITY, Error, Frame, NO_FRAME, ObservationPoint, Source, State};
use crate::packet;

/// A source behind a filter.
pub struct Filtered<S> {
    source: S,
    follower: Follower,
    passed: Amount,
    /// Let through, by what was judged.
    redirected: Amount,
    /// Lent, by what was handed over.
    received: Amount,
}

impl<S: Source + 'static> Filtered<S> {
    /// Puts the filter before the source; an empty one is not put there.
    pub fn boxed(source: S, filter: &CaptureFilter) -> Box<dyn Source> {
        if filter.is_empty() {
            return Box::new(source);
        }
        let selection = Selection { rules: filter.clone(), selector: None };
        Self::changeable(source, &Arc::new(InForce::new(selection)))
    }

    /// Puts what is in force before the source, now and later.
    pub fn changeable(source: S, in_force: &Arc<InForce>) -> Box<dyn Source> {
        let (passed, redirected, received) = (Amount::ZERO, Amount::ZERO, Amount::ZERO);
        Box::new(Self { source, follower: Follower::of(in_force), passed, redirected, received })
    }
}

impl<S: Source> Source for Filtered<S> {
    fn observation_point(&self) -> &ObservationPoint {
        self.source.observation_point()
    }

    fn receive(&mut self, now_nanoseconds: u64, lend: &mut dyn FnMut(&[Frame<'_>])) -> Result<State, Error> {
        let Self { source, follower, passed, redirected, received } = self;
        let filter = &follower.now().rules;
        let takes_all = filter.is_empty();
        source.receive(now_nanoseconds, &mut |frames| {
            let mut selected = [NO_FRAME; BURST_CAPACITY];
            let mut count = 0;
            for frame in frames {
                let amount = Amount::one(frame.original_octets.into());
                if takes_all || selects(filter, &packet::headers(frame)) {
                    selected[count] = *frame;
                    count += 1;
                    *redirected += amount;
                } else {
                    *passed += amount;
                }
            }
            let selected = &selected[..count];
            for frame in selected {
                *received += Amount::one(frame.original_octets.into());
            }
            if !selected.is_empty() {
                lend(selected);
            }
        })
    }

    fn before_sleep(&mut self) {
        self.source.before_sleep();
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), Error> {
        self.source.wait(timeout)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.source.descriptor()
    }

    /// The source's `seen` against what was judged here: what goes astray between them breaks `seen = passed + redirected`
    /// (and the losses of a packet socket's ring).
    fn terms(&mut self) -> Result<QueueTerms, Error> {
        // Before the source's: packets that come in between are seen and not yet judged.
        let (passed, redirected, received) = (self.passed, self.redirected, self.received);
        let mut terms = self.source.terms()?;
        // Nothing has ever been judged here: the source knows better.
        if self.follower.never_had_rules() {
            return Ok(terms);
        }
        if passed.packets > 0 {
            terms.passed.insert(Pass::Filter, passed);
        }
        (terms.redirected, terms.received) = (redirected, received);
        Ok(terms)
    }

    fn is_drained(&mut self) -> Result<bool, Error> {
        self.source.is_drained()
    }

    fn notice(&self) -> Option<String> {
        self.source.notice()
    }
}

#[cfg(test)]
mod tests {
    use super::super::LinkLayer;
    use super::*;

    /// Lends its frames once.
    struct Once(Vec<Vec<u8>>, ObservationPoint, Amount);

    fn once(frames: Vec<Vec<u8>>) -> Once {
        Once(frames, ObservationPoint { interface: "x".into(), ingress_interface: 0, queue: 0 }, Amount::ZERO)
    }

    impl Source for Once {
        fn observation_point(&self) -> &ObservationPoint {
            &self.1
        }

        fn receive(&mut self, _: u64, lend: &mut dyn FnMut(&[Frame<'_>])) -> Result<State, Error> {
            let frame = |bytes| Frame { bytes, original_octets: 100, link_layer: LinkLayer::Ip, ..NO_FRAME };
            let frames: Vec<_> = self.0.iter().map(|bytes| frame(bytes.as_slice())).collect();
            self.2 += Amount { packets: frames.len() as u64, octets: frames.len() as u64 * 100 };
            lend(&frames);
            Ok(State::Some)
        }

        fn wait(&mut self, _: Duration) -> Result<(), Error> {
            Ok(())
        }

        fn terms(&mut self) -> Result<QueueTerms, Error> {
            Ok(QueueTerms { seen: self.2, redirected: self.2, received: self.2, ..QueueTerms::default() })
        }
    }

    fn udp(port: u8) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend([0, port, 0, 99, 0, 8, 0, 0]);
        packet
    }

    #[test]
    fn what_is_not_selected_is_counted_as_passed_and_not_lent() {
        let source = once(vec![udp(53), udp(54), udp(53)]);
        let filter = CaptureFilter::parse(&["port 53"]).unwrap();
        let mut source = Filtered::boxed(source, &filter);
        let mut lent = 0;
        source.receive(0, &mut |frames| lent += frames.len()).unwrap();
        let terms = source.terms().unwrap();
        assert_eq!(lent, 2);
        assert_eq!(terms.seen.packets, 3);
        assert_eq!(terms.passed[&Pass::Filter], Amount { packets: 1, octets: 100 });
        assert_eq!((terms.redirected, terms.received), (terms.received, Amount { packets: 2, octets: 200 }));
    }
    #[test]
    fn what_goes_astray_before_the_filter_is_left_over() {
        let mut source = once(vec![udp(53), udp(54), udp(53)]);
        // The source saw one more than it lends.
        source.2 += Amount::one(100);
        let mut source = Filtered::boxed(source, &CaptureFilter::parse(&["port 53"]).unwrap());
        source.receive(0, &mut |_| {}).unwrap();
        let terms = source.terms().unwrap();
        assert_eq!(terms.seen, terms.passed[&Pass::Filter] + terms.redirected + Amount::one(100));
    }

    #[test]
    fn a_filter_that_is_replaced_judges_the_next_burst() {
        let in_force = Arc::new(InForce::default());
        let source = once(vec![udp(53), udp(54), udp(54)]);
        let mut source = Filtered::changeable(source, &in_force);
        let mut lent = Vec::new();
        for rule in ["port 53", "port 54", "not port 53"] {
            let mut count = 0;
            source.receive(0, &mut |frames| count += frames.len()).unwrap();
            lent.push(count);
            let rules = CaptureFilter::parse(&[rule]).unwrap();
            in_force.replace(Selection { rules, selector: None });
        }
        source.receive(0, &mut |frames| lent.push(frames.len())).unwrap();
        assert_eq!(lent, [3, 1, 2, 2]);
        let terms = source.terms().unwrap();
        assert_eq!(
            (terms.seen.packets, terms.passed[&Pass::Filter].packets, terms.received.packets),
            (12, 4, 8)
        );
    }
}
