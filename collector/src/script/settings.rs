//! What the operator allows scripts.

use std::path::PathBuf;
use std::time::Duration;

use flow_wire::kafka_conf::KafkaConf;
use serde::{Deserialize, Serialize};

/// Checked, and ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the scripts are.
    pub directory: PathBuf,
    /// Of a run, or a batch of flows, by the clock on the wall.
    pub time_limit: Duration,
    /// Of a Lua state.
    pub memory_octets: usize,
    /// Of flows that wait for one script.
    pub queue_octets: usize,
    /// For every producer. May hold secrets.
    pub kafka_conf: KafkaConf,
    /// Whom scripts may speak to.
    pub allowed: Allowed,
}

/// Hosts that scripts may speak to; none = all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed(pub Vec<String>);

impl Allowed {
    /// By the name as the script writes it.
    pub fn lets(&self, host: &str, port: u16) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        self.0.is_empty() || self.0.iter().any(|entry| matches(entry, host, port))
    }
}

fn matches(entry: &str, host: &str, port: u16) -> bool {
    let (name, wanted) = split(entry);
    name.eq_ignore_ascii_case(host) && wanted.is_none_or(|wanted| wanted == port)
}

/// `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT`; a bare IPv6 address has no port.
fn split(entry: &str) -> (&str, Option<u16>) {
    if let Some((name, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (name, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, port.parse().ok()),
        _ => (entry, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_lets_all_through_and_any_other_only_what_it_names() {
        assert!(Allowed::default().lets("169.254.169.254", 80));
        let allowed =
            Allowed(["kafka1:9092", "hooks.example.org", "[::1]:80", "2001:db8::1"].map(String::from).into());
        for (host, port) in
            [("KAFKA1", 9092), ("hooks.example.org", 443), ("[::1]", 80), ("::1", 80), ("2001:db8::1", 1)]
        {
            assert!(allowed.lets(host, port), "{host}:{port}");
        }
        for (host, port) in
            [("kafka1", 9093), ("127.0.0.1", 80), ("::1", 81), ("evil.hooks.example.org", 443)]
        {
            assert!(!allowed.lets(host, port), "{host}:{port}");
        }
    }
}
