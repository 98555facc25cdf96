//! `ntop.setCache` and its kin: text that all scripts share, in the collector's memory, so that it outlives their processes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Keys at most.
const KEYS_MAX: usize = 10_000;

/// Octets of keys and values at most.
const OCTETS_MAX: usize = 16 << 20;

struct Entry {
    value: String,
    until: Option<Instant>,
}

/// Time is an argument.
#[derive(Default)]
pub(super) struct Cache {
    entries: HashMap<String, Entry>,
    octets: usize,
}

impl Cache {
    /// `seconds` = for how long; 0 = for ever. Full = `false`.
    pub(super) fn set(&mut self, key: String, value: String, seconds: u32, now: Instant) -> bool {
        self.remove(&key);
        let octets = key.len() + value.len();
        if !self.has_room(octets) {
            self.expire(now);
        }
        if !self.has_room(octets) {
            return false;
        }
        self.octets += octets;
        let until = (seconds > 0).then(|| now + Duration::from_secs(seconds.into()));
        self.entries.insert(key, Entry { value, until });
        true
    }

    pub(super) fn get(&mut self, key: &str, now: Instant) -> Option<&str> {
        if self.entries.get(key)?.until.is_some_and(|until| until <= now) {
            self.remove(key);
        }
        self.entries.get(key).map(|entry| entry.value.as_str())
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.octets -= key.len() + entry.value.len();
        }
    }

    fn has_room(&self, octets: usize) -> bool {
        self.entries.len() < KEYS_MAX && self.octets + octets <= OCTETS_MAX
    }

    fn expire(&mut self, now: Instant) {
        let octets = &mut self.octets;
        self.entries.retain(|key, entry| {
            let lives = entry.until.is_none_or(|until| until > now);
            if !lives {
                *octets -= key.len() + entry.value.len();
            }
            lives
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lasts_as_long_as_was_said() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        assert!(cache.set("a".into(), "1".into(), 10, now) && cache.set("b".into(), "2".into(), 0, now));
        let later = now + Duration::from_secs(10);
        assert_eq!(cache.get("a", now), Some("1"));
        assert_eq!(cache.get("a", later), None);
        assert_eq!(cache.get("b", later), Some("2"));
        assert_eq!(cache.octets, 2);
        cache.remove("b");
        assert_eq!(cache.get("b", later), None);
        assert_eq!(cache.octets, 0);
    }

    #[test]
    fn a_full_cache_takes_what_expired_ones_leave_and_no_more() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        assert!((0..KEYS_MAX).all(|key| cache.set(key.to_string(), String::new(), u32::from(key < 2), now)));
        assert!(!cache.set("more".into(), String::new(), 0, now));
        assert!(cache.set("0".into(), "again".into(), 1, now), "a key that is there is replaced");
        let later = now + Duration::from_secs(1);
        assert!(cache.set("more".into(), String::new(), 0, later));
        assert!(!cache.set("long".into(), "x".repeat(OCTETS_MAX), 0, later));
        assert!(cache.set("long".into(), "x".repeat(OCTETS_MAX - cache.octets - 4), 0, later));
    }
}
