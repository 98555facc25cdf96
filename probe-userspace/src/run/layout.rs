//! Which worker serves which queue.
//!
//! ```text
//! spread         worker 0   worker 1     split          worker 0   worker 1
//! eno1 queue 0    socket     socket      eno1 queue 0    socket
//! eno1 queue 1    socket     socket      eno1 queue 1               socket
//!                                        eno2 queue 0    socket
//! the program chooses by flow: both      the device chooses: its RSS must send both directions of a flow to
//! directions meet, whatever RSS does     one queue; then workers share nothing, not even a fill ring
//! ```
//! Queues are dealt interface by interface, so that two interfaces of one kind (the two directions of a tap) meet as well: a flow
//! comes by the queue of the same number on both.

use xsk::Ethtool;
use xsk::ethtool::{Asymmetric, Rss, Symmetric};

use super::mode::Mode;
use super::plan::Port;
use crate::config::QueueModeWord;

/// What a symmetric key consists of: the pattern of Woo and Park, which spreads two directions alike and flows evenly.
const PATTERN: &str = "6d:5a";

/// Which worker serves which queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Every worker serves every queue.
    #[default]
    Spread,
    /// Each queue has one worker.
    Split,
}

impl Layout {
    /// Of so many workers, those that serve the queue at this place among the queues of its interface.
    pub fn workers_of(self, place: usize, workers: usize) -> std::ops::Range<usize> {
        match self {
            Self::Spread => 0..workers,
            Self::Split => place % workers..place % workers + 1,
        }
    }

    /// Sockets that a worker has at most.
    pub fn sockets_of_worker(self, ports: &[Port], workers: usize) -> usize {
        let of = |port: &Port| match self {
            Self::Spread => port.queues.len(),
            Self::Split => port.queues.len().div_ceil(workers),
        };
        ports.iter().map(of).sum()
    }
}

/// What a device says of itself.
struct Answer<'a> {
    name: &'a str,
    rss: Rss,
    symmetry: Result<Symmetric, Asymmetric>,
}

/// What it came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Which.
    pub layout: Layout,
    /// How all the devices spread, where that is relied on.
    pub rss: Option<Rss>,
    /// The reason, for people; `None` where there is nothing to choose.
    pub sentence: Option<String>,
}

/// Chooses.
pub fn choose(word: QueueModeWord, ports: &[Port], workers: usize) -> Choice {
    if workers < 2 || ports.iter().all(|port| port.mode != Mode::Xdp) {
        return Choice::default();
    }
    let chosen = match (word, can_split(ports, workers)) {
        (QueueModeWord::Spread, _) => Err("as asked".to_owned()),
        (_, Err(reason)) => Err(reason),
        (QueueModeWord::Auto, Ok(())) => ask(ports).and_then(|answers| judge(&answers)),
        (QueueModeWord::Split, Ok(())) => {
            let known = ask(ports).and_then(|answers| judge(&answers));
            Ok(known.unwrap_or_else(|doubt| (None, format!("as asked; {doubt}"))))
        }
    };
    match chosen {
        Ok((rss, reason)) => Choice {
            layout: Layout::Split,
            rss,
            sentence: Some(format!("queues are split among {workers} workers: {reason}")),
        },
        Err(reason) => Choice {
            sentence: Some(format!(
                "every one of {workers} workers serves every queue, flows are spread: {reason}"
            )),
            ..Choice::default()
        },
    }
}

fn can_split(ports: &[Port], workers: usize) -> Result<(), String> {
    if let Some(port) = ports.iter().find(|port| port.mode != Mode::Xdp) {
        return Err(format!("{} is not captured by AF_XDP", port.interface.name));
    }
    match ports.iter().find(|port| port.queues.len() < workers) {
        None => Ok(()),
        Some(port) if port.queues.len() == 1 => Err(format!("{} has one queue", port.interface.name)),
        Some(port) => Err(format!("{} has {} queues", port.interface.name, port.queues.len())),
    }
}

fn ask(ports: &[Port]) -> Result<Vec<Answer<'_>>, String> {
    ports.iter().map(|port| Answer::of(&port.interface.name)).collect()
}

impl<'a> Answer<'a> {
    fn of(name: &'a str) -> Result<Self, String> {
        let rss = Ethtool::of(name).and_then(|ethtool| ethtool.rss());
        let rss = rss.map_err(|error| format!("{name} does not say how its RSS spreads ({error})"))?;
        Ok(Self { name, symmetry: rss.symmetry(), rss })
    }
}

/// Why both directions of a flow come to one worker, or why nobody can rely on it.
fn judge(answers: &[Answer<'_>]) -> Result<(Option<Rss>, String), String> {
    let mut reasons = Vec::new();
    for Answer { name, rss, symmetry } in answers {
        match symmetry {
            Ok(how) => reasons.push(format!("RSS of {name} is symmetric, {how}")),
            Err(why) => {
                let mend = mend(name, rss.key.len(), Some(*why));
                return Err(format!("RSS of {name} is not symmetric, {why}; {mend} makes it so"));
            }
        }
    }
    // A flow may come by two interfaces: the directions of a tap.
    match answers.windows(2).find(|pair| pair[0].rss != pair[1].rss) {
        Some(pair) => {
            Err(format!("{} and {} spread by different keys or tables", pair[0].name, pair[1].name))
        }
        None => Ok((answers.first().map(|answer| answer.rss.clone()), reasons.join(", "))),
    }
}

/// The command that makes a device's RSS symmetric; `key_octets` as the device has them, 0 = unknown.
fn mend(name: &str, key_octets: usize, why: Option<Asymmetric>) -> String {
    if let Some(Asymmetric::Fields(kind)) = why {
        return format!("`ethtool -N {name} rx-flow-hash {kind} sdfn`");
    }
    // 40 octets are what most devices have.
    let pairs = if key_octets == 0 { 20 } else { key_octets / 2 };
    let key = vec![PATTERN; pairs].join(":");
    let function = if why == Some(Asymmetric::Function) { " hfunc toeplitz" } else { "" };
    format!("`ethtool -X {name} hkey {key}{function}`")
}

/// The command for an interface of which flows were seen to be split, whatever it says of itself.
pub fn mend_of(name: &str) -> String {
    let rss = Ethtool::of(name).and_then(|ethtool| ethtool.rss()).unwrap_or_default();
    mend(name, rss.key.len(), rss.symmetry().err().filter(|_| !rss.key.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::host::Interface;

    fn port(name: &str, queues: u32, mode: Mode) -> Port {
        let interface = Interface {
            name: name.into(),
            index: 7,
            hardware_type: 1,
            mac_address: [2; 6],
            up: true,
            addresses: vec![],
        };
        Port { interface, mode, queues: (0..queues).collect(), queue_count: queues }
    }

    fn answer(name: &str, key: u8, symmetry: Result<Symmetric, Asymmetric>) -> Answer<'_> {
        let mut rss = Rss::default();
        rss.key = vec![key; 52];
        Answer { name, rss, symmetry }
    }

    fn chosen(word: QueueModeWord, ports: &[Port], workers: usize) -> (Layout, String) {
        let choice = choose(word, ports, workers);
        (choice.layout, choice.sentence.unwrap_or_default())
    }

    #[test]
    fn each_queue_has_one_worker_or_all_of_them() {
        let all = |layout: Layout| (0..4).map(|place| layout.workers_of(place, 3)).collect::<Vec<_>>();
        assert_eq!(all(Layout::Spread), [0..3, 0..3, 0..3, 0..3]);
        assert_eq!(all(Layout::Split), [0..1, 1..2, 2..3, 0..1]);
        let ports = [port("eno1", 4, Mode::Xdp), port("eno2", 3, Mode::Xdp)];
        assert_eq!(Layout::Spread.sockets_of_worker(&ports, 3), 7);
        assert_eq!(Layout::Split.sockets_of_worker(&ports, 3), 3);
    }

    #[test]
    fn one_worker_is_no_choice_and_nothing_is_said() {
        let ports = [port("nosuchif0", 4, Mode::Xdp)];
        assert_eq!(choose(QueueModeWord::Split, &ports, 1), Choice::default());
        let listening = [port("nosuchif0", 1, Mode::Packet)];
        assert_eq!(choose(QueueModeWord::Split, &listening, 2), Choice::default());
    }

    #[test]
    fn queues_that_do_not_suffice_are_spread_whatever_was_asked_for() {
        let (layout, sentence) = chosen(QueueModeWord::Split, &[port("nosuchif0", 1, Mode::Xdp)], 2);
        assert_eq!(layout, Layout::Spread);
        assert!(sentence.ends_with("nosuchif0 has one queue"), "{sentence}");
        let mixed = [port("nosuchif0", 4, Mode::Xdp), port("nosuchif1", 1, Mode::Packet)];
        let (layout, sentence) = chosen(QueueModeWord::Split, &mixed, 2);
        assert_eq!(layout, Layout::Spread);
        assert!(sentence.ends_with("nosuchif1 is not captured by AF_XDP"), "{sentence}");
    }

    #[test]
    fn who_does_not_say_how_it_spreads_is_split_only_when_asked() {
        let ports = [port("nosuchif0", 2, Mode::Xdp)];
        let (layout, sentence) = chosen(QueueModeWord::Auto, &ports, 2);
        assert_eq!(layout, Layout::Spread);
        assert!(sentence.contains("nosuchif0 does not say how its RSS spreads"), "{sentence}");
        let (layout, sentence) = chosen(QueueModeWord::Split, &ports, 2);
        assert_eq!(layout, Layout::Split);
        assert!(sentence.contains("as asked; nosuchif0 does not say"), "{sentence}");
    }

    #[test]
    fn symmetric_devices_are_relied_on_if_they_spread_alike() {
        let by_key = Ok(Symmetric::ByKey);
        let (rss, reason) = judge(&[answer("eno1", 1, by_key), answer("eno2", 1, by_key)]).unwrap();
        assert_eq!(rss.unwrap().key, [1; 52]);
        assert!(reason.contains("RSS of eno2 is symmetric, its hash key repeats"), "{reason}");
        let doubt = judge(&[answer("eno1", 1, by_key), answer("eno2", 2, by_key)]).unwrap_err();
        assert_eq!(doubt, "eno1 and eno2 spread by different keys or tables");
    }

    #[test]
    fn a_device_that_is_not_symmetric_is_told_with_the_command_that_makes_it_so() {
        let of = |why| judge(&[answer("eno1", 1, Err(why))]).unwrap_err();
        let key = of(Asymmetric::Key);
        assert!(key.contains("`ethtool -X eno1 hkey 6d:5a:6d:5a"), "{key}");
        assert_eq!(key.matches("6d:5a").count(), 26, "52 octets");
        assert!(of(Asymmetric::Function).contains("hfunc toeplitz`"));
        assert!(of(Asymmetric::Fields("udp4")).contains("`ethtool -N eno1 rx-flow-hash udp4 sdfn`"));
        assert_eq!(mend_of("nosuchif0").matches("6d:5a").count(), 20);
    }
}
