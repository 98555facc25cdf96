//! Numbers and addresses as text, without the machinery of `format!`: tens of thousands a second are none of its business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Appends it in decimal.
pub(crate) fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends it as `std` writes it.
pub(crate) fn address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => ipv4(v4, out),
        IpAddr::V6(v6) => ipv6(v6, out),
    }
}

/// `2023-11-14T22:13:21.123Z`
pub(super) const TIMESTAMP_OCTETS: usize = 24;

/// Appends a time since the UNIX epoch by ISO 8601, in UTC, cut to milliseconds. All 64 bits of nanoseconds end in the year 2554.
pub(super) fn timestamp(nanoseconds: u64, out: &mut Vec<u8>) {
    let (seconds, milliseconds) = (nanoseconds / 1_000_000_000, nanoseconds / 1_000_000 % 1_000);
    let (year, month, day) = date(seconds / 86_400);
    for (value, width, behind) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (seconds / 3_600 % 24, 2, b':'),
        (seconds / 60 % 60, 2, b':'),
        (seconds % 60, 2, b'.'),
        (milliseconds, 3, b'Z'),
    ] {
        for digit in (0..width).rev() {
            out.push(b'0' + (value / 10_u64.pow(digit) % 10) as u8);
        }
        out.push(behind);
    }
}

/// Year, month and day, so many days behind the first of 1970.
fn date(days: u64) -> (u64, u64, u64) {
    /// Before 1970-01-01, from 0000-03-01: years that begin with March have their leap day at their end.
    const BEFORE: u64 = 719_468;
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days + BEFORE;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    // Less the leap days up to there: one in 4 years, none in 100.
    let year = (day - day / 1_460 + day / 36_524 - day / (DAYS_OF_400_YEARS - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // March to January have 31, 30, 31, 30, 31 days, twice: 153 in five months.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    let month = if is_next_year { month - 9 } else { month + 3 };
    (400 * era + year + u64::from(is_next_year), month, day)
}

fn ipv4(address: Ipv4Addr, out: &mut Vec<u8>) {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        let (hundreds, tens) = (octet / 100, octet / 10 % 10);
        if hundreds > 0 {
            out.push(b'0' + hundreds);
        }
        if hundreds > 0 || tens > 0 {
            out.push(b'0' + tens);
        }
        out.push(b'0' + octet % 10);
    }
}

/// RFC 5952: the longest run of zeros (of two at least; of equal ones the first) is `::`.
fn ipv6(address: Ipv6Addr, out: &mut Vec<u8>) {
    if let Some(mapped) = address.to_ipv4_mapped() {
        out.extend_from_slice(b"::ffff:");
        return ipv4(mapped, out);
    }
    let segments = address.segments();
    let (begin, length) = longest_zeros(&segments);
    let mut index = 0;
    while index < segments.len() {
        if length > 1 && index == begin {
            out.extend_from_slice(b"::");
            index += length;
            continue;
        }
        if index > 0 && (length <= 1 || index != begin + length) {
            out.push(b':');
        }
        hexadecimal(segments[index], out);
        index += 1;
    }
}

fn longest_zeros(segments: &[u16; 8]) -> (usize, usize) {
    let (mut longest, mut current) = ((0, 0), (0, 0));
    for (index, segment) in segments.iter().enumerate() {
        current = match (*segment, current.1) {
            (0, 0) => (index, 1),
            (0, length) => (current.0, length + 1),
            _ => (0, 0),
        };
        if current.1 > longest.1 {
            longest = current;
        }
    }
    longest
}

fn hexadecimal(segment: u16, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (16 - segment.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(DIGITS[usize::from(segment >> (4 * digit) & 0xf)]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(of: IpAddr) -> String {
        let mut out = Vec::new();
        address(of, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn runs_of_zeros_are_where_std_has_them() {
        for segments in 0..1_u32 << 8 {
            let segments = std::array::from_fn(|index| u16::from(segments >> index & 1 != 0) * 0xabc);
            let address = IpAddr::V6(Ipv6Addr::from(segments));
            assert_eq!(text(address), address.to_string());
        }
    }

    #[test]
    fn a_time_is_that_of_date_1() {
        let text = |seconds: u64| {
            let mut out = Vec::new();
            timestamp(seconds * 1_000_000_000 + 123_999_999, &mut out);
            assert_eq!(out.len(), TIMESTAMP_OCTETS);
            String::from_utf8(out).unwrap()
        };
        // `date -u -d @SECONDS`
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.123Z"),
            (68_169_599, "1972-02-28T23:59:59.123Z"),
            (68_169_600, "1972-02-29T00:00:00.123Z"),
            (951_782_400, "2000-02-29T00:00:00.123Z"),
            (951_868_800, "2000-03-01T00:00:00.123Z"),
            (1_700_000_001, "2023-11-14T22:13:21.123Z"),
            (1_735_689_599, "2024-12-31T23:59:59.123Z"),
            (4_107_542_400, "2100-03-01T00:00:00.123Z"),
        ] {
            assert_eq!(text(seconds), expected);
        }
    }

    #[test]
    fn days_follow_one_another() {
        let days_of = |year: u64, month: u64| match month {
            2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let mut expected = (1970, 1, 1);
        for days in 0..215_000 {
            assert_eq!(date(days), expected);
            let (year, month, day) = expected;
            expected = match (day == days_of(year, month), month) {
                (false, _) => (year, month, day + 1),
                (true, 12) => (year + 1, 1, 1),
                (true, _) => (year, month + 1, 1),
            };
        }
    }

    proptest! {
        #[test]
        fn addresses_are_those_of_std(v4: u32, v6: u128, mapped: u32) {
            for address in [
                IpAddr::V4(v4.into()),
                IpAddr::V6(v6.into()),
                IpAddr::V6(Ipv4Addr::from(mapped).to_ipv6_mapped()),
                IpAddr::V6(u128::from(mapped).into()),
            ] {
                let std = address.to_string();
                // `std` has a form of its own for `::a.b.c.d`, which RFC 5952 leaves to mapped ones; either is read back alike.
                prop_assert_eq!(text(address).parse::<IpAddr>().unwrap(), address);
                prop_assert!(text(address).len() <= 45);
                if address.is_ipv4() || v6 == 0 {
                    prop_assert_eq!(text(address), std);
                }
            }
        }
    }
}
