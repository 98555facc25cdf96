//! Which interfaces are captured how, and by which workers.

use xsk::Ethtool;
use xsk::ethtool::Rss;

use crate::config::{Capture, Config, Error, Input, Workers};
use crate::run::host::Interface;
use crate::run::layout::{self, Layout};
use crate::run::mode::{Mode, choose, is_ethernet};
use crate::worker::Steering;

/// More workers than this are only made when asked for: each has a socket on each queue.
const WORKERS_UNASKED: usize = 8;
/// Sockets that one worker can wait for; one more descriptor wakes it.
const SOCKETS_A_WORKER: usize = xsk::wait::DESCRIPTORS - 1;

/// A live capture, laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The interfaces.
    pub ports: Vec<Port>,
    /// The workers, from 0; `Some` = the core that it is pinned to.
    pub workers: Vec<Option<usize>>,
    /// Which of them serves which queue.
    pub layout: Layout,
    /// How all devices spread, where queues are split for it.
    pub rss: Option<Rss>,
    /// What a person should know about it.
    pub sentences: Vec<String>,
}

/// One interface to capture from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Which.
    pub interface: Interface,
    /// How.
    pub mode: Mode,
    /// Receive queues that are served; queue 0 alone stands for all of them with a packet socket.
    pub queues: Vec<u32>,
    /// Receive queues that the device has.
    pub queue_count: u32,
}

impl Plan {
    /// What is known of where whole packets of a flow come to; `None` where queues are not split, or not alike on all interfaces.
    pub fn steering(&self) -> Option<Steering> {
        let rss = self.rss.clone()?;
        let (first, others) = self.ports.split_first()?;
        let alike = others.iter().all(|port| port.queues == first.queues);
        let mut workers = vec![None; first.queue_count as usize];
        for (place, queue) in first.queues.iter().enumerate().filter(|_| alike) {
            *workers.get_mut(*queue as usize)? = Some(place % self.workers.len());
        }
        alike.then(|| Steering::new(rss, workers))
    }

    /// Whether the XDP program counts flows itself: from so many packets on.
    pub fn shunt(&self, capture: &Capture) -> Option<u64> {
        capture.shunt.filter(|_| self.ports.iter().any(|port| port.mode == Mode::Xdp))
    }

    /// Lays a live capture out. `cores` are those that this process may use.
    ///
    /// # Errors
    /// A queue or a core that is not there, or more sockets than a worker can wait for.
    pub fn of(config: &Config, cores: &[usize]) -> Result<Self, Error> {
        let mut sentences = Vec::new();
        let mut ports = Vec::new();
        for input in &config.inputs {
            if let Input::Interface(interface) = input {
                ports.push(port(interface, &config.capture, &mut sentences)?);
            }
        }
        if config.capture.shunt.is_some() && ports.is_empty() {
            sentences.push(
                "--shunt is for interfaces that are captured by AF_XDP; files are metered whole".into(),
            );
        }
        if ports.is_empty() && config.workers != Workers::default() {
            sentences.push(
                "--workers and --cpu-affinity are for interfaces; files are read one after the other".into(),
            );
        }
        let workers = workers(config, &ports, cores)?;
        let choice = layout::choose(config.capture.queue_mode, &ports, workers.len());
        sentences.extend(choice.sentence);
        check_sockets(choice.layout.sockets_of_worker(&ports, workers.len()))?;
        Ok(Self { ports, workers, layout: choice.layout, rss: choice.rss, sentences })
    }
}

fn port(interface: &Interface, capture: &Capture, sentences: &mut Vec<String>) -> Result<Port, Error> {
    let choice = choose(capture.mode, interface);
    sentences.extend(choice.sentence);
    let name = &interface.name;
    if choice.mode == Mode::Packet && capture.queues.is_some() {
        sentences.push(format!("{name}: --queues is for AF_XDP; a packet socket sees all queues"));
    }
    if choice.mode == Mode::Packet && capture.shunt.is_some() {
        sentences.push(format!("{name}: --shunt is for AF_XDP; a packet socket takes every packet"));
    }
    if choice.mode == Mode::Xdp && capture.snap_octets.is_some() {
        sentences.push(format!("{name}: -s is for packet sockets; AF_XDP gets whole frames and copies none"));
    }
    if choice.mode == Mode::Xdp && capture.outgoing {
        sentences.push(format!("{name}: --outgoing is for packet sockets; AF_XDP sees received frames only"));
    }
    if choice.mode == Mode::Xdp && !is_ethernet(interface) {
        return Err(Error::Word {
            option: "--capture",
            value: "xdp".into(),
            reason: format!("{name} has no Ethernet header (ARPHRD type {})", interface.hardware_type),
            mend: "use --capture packet".into(),
        });
    }
    let queue_count = receive_queues(&interface.name);
    let queues = match choice.mode {
        Mode::Packet => vec![0],
        Mode::Xdp => queues(&interface.name, queue_count, capture.queues.as_deref())?,
    };
    Ok(Port { interface: interface.clone(), mode: choice.mode, queues, queue_count })
}

/// A driver that does not say how many queues it has, has one.
fn receive_queues(name: &str) -> u32 {
    Ethtool::of(name).and_then(|ethtool| ethtool.receive_queues()).unwrap_or(1).max(1)
}

fn queues(name: &str, there: u32, asked: Option<&[u32]>) -> Result<Vec<u32>, Error> {
    let Some(asked) = asked else { return Ok((0..there).collect()) };
    match asked.iter().find(|&&queue| queue >= there) {
        None => Ok(asked.to_vec()),
        Some(queue) => Err(Error::Word {
            option: "--queues",
            value: queue.to_string(),
            reason: format!("{name} has the queues 0 to {}", there - 1),
            mend: format!("name one of them, or make more by `ethtool -L {name}`"),
        }),
    }
}

fn check_sockets(of_worker: usize) -> Result<(), Error> {
    if of_worker <= SOCKETS_A_WORKER {
        return Ok(());
    }
    Err(Error::Word {
        option: "--queues",
        value: format!("{of_worker} sockets for a worker"),
        reason: format!("a worker waits for a socket on each of its queues, {SOCKETS_A_WORKER} at most"),
        mend: "name fewer queues, or give the device fewer by `ethtool -L`".into(),
    })
}

fn workers(config: &Config, ports: &[Port], cores: &[usize]) -> Result<Vec<Option<usize>>, Error> {
    let asked = &config.workers;
    if let Some(core) = asked.cores.iter().find(|core| !cores.contains(core)) {
        return Err(Error::Word {
            option: "--cpu-affinity",
            value: core.to_string(),
            reason: format!("this process may use the cores {cores:?}"),
            mend: "list some of these".into(),
        });
    }
    if !asked.cores.is_empty() {
        return Ok(asked.cores.iter().copied().map(Some).collect());
    }
    let queues: usize = ports.iter().map(|port| port.queues.len()).sum();
    let count = asked.count.unwrap_or_else(|| queues.min(cores.len()).clamp(1, WORKERS_UNASKED));
    // Pinned only where each can have a core of its own: two threads on one core while another idles lose packets.
    let pinned = count <= cores.len();
    Ok((0..count).map(|worker| pinned.then(|| cores[worker])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(queues: u32) -> Port {
        let interface = Interface {
            name: "eno1".into(),
            index: 7,
            hardware_type: 1,
            mac_address: [2; 6],
            up: true,
            addresses: vec![],
        };
        Port { interface, mode: Mode::Xdp, queues: (0..queues).collect(), queue_count: queues }
    }

    fn config(arguments: &str) -> Config {
        use clap::Parser;
        let interfaces = [port(0).interface];
        let line = ["gannet-probe", "-i", "eno1"].into_iter().chain(arguments.split_whitespace());
        crate::config::CommandLine::parse_from(line).config(&interfaces).unwrap()
    }

    #[test]
    fn there_is_a_worker_for_each_queue_as_far_as_cores_go() {
        let count = |queues, cores: &[usize]| workers(&config(""), &[port(queues)], cores).unwrap();
        assert_eq!(count(1, &[0, 1]), [Some(0)]);
        assert_eq!(count(4, &[2, 3]), [Some(2), Some(3)]);
        assert_eq!(count(64, &(0..64).collect::<Vec<_>>()).len(), WORKERS_UNASKED);
    }

    #[test]
    fn workers_are_pinned_where_asked_and_not_where_cores_do_not_suffice() {
        let of = |arguments| workers(&config(arguments), &[port(1)], &[0, 1]);
        assert_eq!(of("--cpu-affinity 1,0").unwrap(), [Some(1), Some(0)]);
        assert_eq!(of("--workers 3").unwrap(), [None; 3]);
        let message = of("--cpu-affinity 9").unwrap_err().to_string();
        assert!(message.contains("--cpu-affinity 9") && message.contains("[0, 1]"), "{message}");
    }

    #[test]
    fn a_queue_that_is_not_there_is_refused() {
        assert_eq!(queues("eno1", 4, None).unwrap(), [0, 1, 2, 3]);
        assert_eq!(queues("eno1", 4, Some(&[3, 1])).unwrap(), [3, 1]);
        let message = queues("eno1", 4, Some(&[4])).unwrap_err().to_string();
        assert!(message.contains("--queues 4") && message.contains("0 to 3"), "{message}");
    }

    #[test]
    fn more_sockets_than_a_worker_can_wait_for_are_refused() {
        let sockets = |layout: Layout| layout.sockets_of_worker(&[port(128), port(129)], 2);
        assert!(check_sockets(256).is_ok());
        assert!(check_sockets(sockets(Layout::Spread)).is_err());
        assert!(check_sockets(sockets(Layout::Split)).is_ok());
    }
}
