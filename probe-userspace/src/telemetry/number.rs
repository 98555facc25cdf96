//! Numbers as people read them.

/// SI prefixes by thousands.
const PREFIXES: [&str; 6] = ["", "k", "M", "G", "T", "P"];

/// Three or four digits, a space, and a prefix where there is one: `999 `, `1.23 M`. The unit follows.
pub fn si(number: f64) -> String {
    let mut scaled = number;
    let mut prefix = 0;
    // 999.5 would be shown as "1000".
    while scaled >= 999.5 && prefix + 1 < PREFIXES.len() {
        scaled /= 1000.0;
        prefix += 1;
    }
    match prefix {
        0 => format!("{scaled:.0} "),
        _ if scaled < 9.995 => format!("{scaled:.2} {}", PREFIXES[prefix]),
        _ if scaled < 99.95 => format!("{scaled:.1} {}", PREFIXES[prefix]),
        _ => format!("{scaled:.0} {}", PREFIXES[prefix]),
    }
}

/// With thousands apart: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        for (number, text) in [
            (0.0, "0 "),
            (999.0, "999 "),
            (999.6, "1.00 k"),
            (1234.0, "1.23 k"),
            (12_345.0, "12.3 k"),
            (123_456.0, "123 k"),
            (9_999_999.0, "10.0 M"),
        ] {
            assert_eq!(si(number), text);
        }
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1000), grouped(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
