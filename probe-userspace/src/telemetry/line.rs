//! The line of statistics on a terminal, once a second.

use std::sync::Arc;

use flow_wire::ledger::Message;

use super::number::{grouped, si};
use super::rates::{Rates, losses};

/// Renders a line per message; remembers the one before for the rates.
#[derive(Debug, Default)]
pub struct Line {
    before: Option<Arc<Message>>,
}

impl Line {
    /// The line for `message`; `None` for the first, which has nothing to be compared with.
    pub fn next(&mut self, message: &Arc<Message>) -> Option<String> {
        let before = self.before.replace(message.clone())?;
        Some(render(message, Rates::between(&before, message)))
    }
}

/// `12:00:03    1.23 M pps    4.5 G bps    10,234 flows    310 records/s   lost 0`
fn render(message: &Message, rates: Rates) -> String {
    let open: u64 = message.workers.iter().map(|worker| worker.open_flows).sum();
    let time = time_of_day(message.time_nanoseconds);
    format!(
        "{time} UTC {:>10}pps {:>10}bps {:>10} flows open {:>9}records/s   {}",
        si(rates.packets),
        si(rates.bits),
        grouped(open),
        si(rates.records),
        lost(message)
    )
}

fn lost(message: &Message) -> String {
    let losses = losses(message);
    if losses.is_empty() {
        return "lost 0".to_string();
    }
    let by_reason: Vec<_> =
        losses.iter().map(|(reason, packets)| format!("{reason} {}", grouped(*packets))).collect();
    format!("lost {}", by_reason.join(", "))
}

fn time_of_day(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use flow_wire::ledger::{Amount, QueueTerms, WorkerTerms};

    use super::*;

    fn message(second: u64, packets: u64) -> Arc<Message> {
        let seen = Amount { packets, octets: packets * 100 };
        Arc::new(Message {
            version: 1,
            exporter: String::new(),
            epoch_start_nanoseconds: 0,
            time_nanoseconds: second * 1_000_000_000,
            active_timeout_seconds: 120,
            queues: vec![QueueTerms { seen, rx_ring_full: packets / 1000, ..QueueTerms::default() }],
            workers: vec![WorkerTerms {
                open_flows: 10_234,
                records: packets / 10,
                ..WorkerTerms::default()
            }],
            cursors: vec![],
            cuts: vec![],
            closed: false,
            ..Message::default()
        })
    }

    #[test]
    fn the_first_message_has_no_rate_and_the_second_has() {
        let mut line = Line::default();
        assert_eq!(line.next(&message(43_201, 1000)), None);
        let text = line.next(&message(43_203, 5000)).unwrap();
        for part in
            ["12:00:03", "2.00 kpps", "1.60 Mbps", "10,234 flows open", "200 records/s", "rx_ring_full 5"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn two_messages_of_one_moment_give_no_rate() {
        assert_eq!(Rates::between(&message(1, 5), &message(1, 9)), Rates::default());
    }
}
