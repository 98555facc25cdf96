//! The options of the spool: sizes and times as people write them.

use std::time::Duration;

use super::{Error, SpoolSyncWord, Words};

/// Smallest spool: some segments of a size in which a segment still holds many batches.
const SMALLEST_OCTETS: u64 = 16 << 20;
/// More than any disk of a probe: a slip of the keyboard.
const LARGEST_OCTETS: u64 = 1 << 50;

/// A week: a bus that is away longer is an incident, and the flows are of the past.
const AGE: Duration = Duration::from_secs(7 * 86_400);
/// A reader that was away for a week does not come back, and what waits for it takes the room of those that do.
const CURSOR_TTL: Duration = Duration::from_secs(7 * 86_400);
const SHORTEST: Duration = Duration::from_secs(60);
/// Ten years.
const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

/// How the spool is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spool {
    /// Octets that it may take; `None` = what the disk allows.
    pub size_octets: Option<u64>,
    /// Older batches are discarded.
    pub age: Duration,
    /// When it is forced onto the disk.
    pub sync: SpoolSyncWord,
    /// Readers that have not come for so long are forgotten.
    pub cursor_ttl: Duration,
}

impl Default for Spool {
    fn default() -> Self {
        Self { size_octets: None, age: AGE, sync: SpoolSyncWord::default(), cursor_ttl: CURSOR_TTL }
    }
}

/// `None` = there is to be none.
pub(super) fn spool(words: &Words) -> Result<Option<Spool>, Error> {
    let default = Spool::default();
    let size_octets = words.spool_size.as_deref().map(size).transpose()?;
    let age = words.spool_age.as_deref().map(|text| time("--spool-age", text)).transpose()?;
    let ttl = words.cursor_ttl.as_deref().map(|text| time("--cursor-ttl", text)).transpose()?;
    let said = [
        ("--spool-size", words.spool_size.is_some()),
        ("--spool-age", age.is_some()),
        ("--spool-sync", words.spool_sync.is_some()),
        ("--cursor-ttl", ttl.is_some()),
    ];
    if words.no_spool {
        return match said.into_iter().find(|(_, is_said)| *is_said) {
            None => Ok(None),
            Some((option, _)) => Err(Error::Contradiction {
                first: "--no-spool".to_owned(),
                second: option.to_owned(),
                reason: "there is no spool to be run so",
                mend: "leave one of them out",
            }),
        };
    }
    Ok(Some(Spool {
        size_octets,
        age: age.unwrap_or(default.age),
        sync: words.spool_sync.unwrap_or_default(),
        cursor_ttl: ttl.unwrap_or(default.cursor_ttl),
    }))
}

fn size(text: &str) -> Result<u64, Error> {
    let units = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40), ("", 1)];
    let octets = number(text, &units).filter(|octets| (SMALLEST_OCTETS..=LARGEST_OCTETS).contains(octets));
    octets.ok_or_else(|| Error::Word {
        option: "--spool-size",
        value: text.to_owned(),
        reason: "not a size of 16M to 1024T".to_owned(),
        mend: "write a number with K, M, G or T behind it, e.g. 20G".to_owned(),
    })
}

fn time(option: &'static str, text: &str) -> Result<Duration, Error> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("", 1)];
    let time = number(text, &units).map(Duration::from_secs);
    time.filter(|time| (SHORTEST..=LONGEST).contains(time)).ok_or_else(|| Error::Word {
        option,
        value: text.to_owned(),
        reason: "not a time of one minute to ten years".to_owned(),
        mend: "write a number with s, m, h or d behind it, e.g. 7d".to_owned(),
    })
}

fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (unit, factor) = units.iter().find(|(unit, _)| text.ends_with(unit))?;
    text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(change: impl FnOnce(&mut Words)) -> Result<Option<Spool>, Error> {
        let mut words = Words::default();
        change(&mut words);
        spool(&words)
    }

    #[test]
    fn sizes_and_times_are_read_as_people_write_them() {
        let spool = of(|words| {
            words.spool_size = Some("20G".to_owned());
            words.spool_age = Some("12h".to_owned());
            words.cursor_ttl = Some("86400".to_owned());
        });
        let spool = spool.unwrap().unwrap();
        assert_eq!((spool.size_octets, spool.age), (Some(20 << 30), Duration::from_secs(43_200)));
        assert_eq!((spool.cursor_ttl, spool.sync), (Duration::from_secs(86_400), SpoolSyncWord::Interval));
    }

    #[test]
    fn what_is_no_size_or_time_is_refused_with_the_mend() {
        for text in ["", "G", "1M", "-1G", "99999999T", "1.5G"] {
            let error = of(|words| words.spool_size = Some(text.to_owned())).unwrap_err().to_string();
            assert!(error.contains(&format!("--spool-size {text}")) && error.contains("20G"), "{error}");
        }
        for text in ["5", "7w", "99999d"] {
            let error = of(|words| words.spool_age = Some(text.to_owned())).unwrap_err().to_string();
            assert!(error.contains(&format!("--spool-age {text}")) && error.contains("7d"), "{error}");
        }
    }

    #[test]
    fn no_spool_contradicts_what_a_spool_is_told() {
        assert_eq!(of(|words| words.no_spool = true).unwrap(), None);
        let error = of(|words| {
            words.no_spool = true;
            words.cursor_ttl = Some("1d".to_owned());
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains("--no-spool and --cursor-ttl"), "{error}");
    }
}
