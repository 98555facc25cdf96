//! Points in time and durations as people write them.

use chrono::DateTime;

/// Numbers from here on are nanoseconds: as seconds they would lie 31 million years ahead, as nanoseconds in January 1970.
const NANOSECONDS_FROM: u64 = 1_000_000_000_000_000;

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// What a time may look like: the mend of a refusal.
pub const TIME_FORMS: &str =
    "write 2026-11-23T09:00:00Z, UNIX seconds, nanoseconds (16 digits or more), now, or -5m";

/// What a duration may look like.
pub const DURATION_FORMS: &str = "write a number and a unit: 10s, 5m, 1h, 1d";

/// A point in time, in nanoseconds since the UNIX epoch.
pub fn point(text: &str, now_nanoseconds: u64) -> Option<u64> {
    if text == "now" {
        return Some(now_nanoseconds);
    }
    if let Some(ago) = text.strip_prefix('-') {
        return Some(now_nanoseconds.saturating_sub(duration(ago)?));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return number(text);
    }
    let nanoseconds = DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()?;
    u64::try_from(nanoseconds).ok()
}

/// A point in time for people, in UTC, to the microsecond; what no calendar has (beyond 2262) stays a number.
pub fn shown(nanoseconds: u64) -> String {
    match i64::try_from(nanoseconds) {
        Ok(within) => DateTime::from_timestamp_nanos(within).format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        Err(_) => nanoseconds.to_string(),
    }
}

/// A duration, in nanoseconds.
pub fn duration(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(unit_at);
    let unit = match unit {
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        "d" => 86_400 * SECOND,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn number(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole_number: u64 = whole.parse().ok()?;
    if whole_number >= NANOSECONDS_FROM {
        return (!text.contains('.')).then_some(whole_number);
    }
    if fraction.len() > 9 || fraction.contains('.') || (text.contains('.') && fraction.is_empty()) {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole_number.checked_mul(SECOND)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000 * SECOND;

    #[test]
    fn times_are_read_in_each_form() {
        assert_eq!(point("now", NOW), Some(NOW));
        assert_eq!(point("-5m", NOW), Some(NOW - 300 * SECOND));
        assert_eq!(point("1700000000", NOW), Some(NOW));
        assert_eq!(point("1700000000.25", NOW), Some(NOW + SECOND / 4));
        assert_eq!(point("1700000000123456789", NOW), Some(NOW + 123_456_789));
        assert_eq!(point("2023-11-14T22:13:20Z", NOW), Some(NOW));
        assert_eq!(point("2023-11-14T23:13:20.000000001+01:00", NOW), Some(NOW + 1));
    }

    #[test]
    fn what_is_shown_can_be_asked_for() {
        assert_eq!(shown(NOW + 1_999), "2023-11-14T22:13:20.000001Z");
        assert_eq!(point(&shown(NOW), 0), Some(NOW));
        assert_eq!(shown(u64::MAX), u64::MAX.to_string());
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in [
            "",
            "-",
            "-5",
            "5m",
            "1.2.3",
            "1.",
            ".5",
            "1.0000000001",
            "1700000000123456789.5",
            "yesterday",
            "99999999999999999999",
            "1960-01-01T00:00:00Z",
            "999999999999999",
        ] {
            assert_eq!(point(wrong, NOW), None, "{wrong}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("90s"), Some(90 * SECOND));
        assert_eq!(duration("2d"), Some(172_800 * SECOND));
        for wrong in ["", "5", "m", "5 m", "5w", "-5m", "99999999999999999d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
