//! What the kernel and the driver count for an interface: the witness that is neither generator nor probe.

use std::collections::BTreeMap;

use super::{Error, Netns};

/// Counters of one interface at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets received.
    pub rx_packets: u64,
    /// Octets received.
    pub rx_bytes: u64,
    /// Received and dropped.
    pub rx_dropped: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Octets sent.
    pub tx_bytes: u64,
    /// To be sent and dropped.
    pub tx_dropped: u64,
    /// The driver's own, by the name that `ethtool -S` shows; empty where it has none.
    pub driver: BTreeMap<String, u64>,
}

impl Counters {
    /// Reads them by `ip` and `ethtool`.
    pub(super) fn read(namespace: &Netns, interface: &str) -> Result<Self, Error> {
        let arguments = ["-s", "-s", "-j", "link", "show", "dev", interface];
        let answer = namespace.ip(&arguments)?;
        let link: serde_json::Value = serde_json::from_str(&answer).map_err(|error| Error::Answer {
            command: format!("ip {}", arguments.join(" ")),
            answer: answer.clone(),
            reason: error.to_string(),
        })?;
        let count = |direction: &str, name: &str| link[0]["stats64"][direction][name].as_u64().unwrap_or(0);
        Ok(Self {
            rx_packets: count("rx", "packets"),
            rx_bytes: count("rx", "bytes"),
            rx_dropped: count("rx", "dropped"),
            tx_packets: count("tx", "packets"),
            tx_bytes: count("tx", "bytes"),
            tx_dropped: count("tx", "dropped"),
            driver: driver(namespace, interface)?,
        })
    }

    /// A driver's counter, 0 where it has none of that name.
    #[must_use]
    pub fn driver(&self, name: &str) -> u64 {
        self.driver.get(name).copied().unwrap_or(0)
    }
}

/// `ethtool -S`: lines of `     name: value`. A driver without statistics is no error.
fn driver(namespace: &Netns, interface: &str) -> Result<BTreeMap<String, u64>, Error> {
    match namespace.run("ethtool", &["-S", interface]) {
        Ok(answer) => Ok(answer.lines().filter_map(counter).collect()),
        Err(Error::Refused { message, .. }) if message.contains("no stats available") => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

fn counter(line: &str) -> Option<(String, u64)> {
    let (name, value) = line.rsplit_once(':')?;
    Some((name.trim().to_owned(), value.trim().parse().ok()?))
}
