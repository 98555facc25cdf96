//! Addresses and prefixes as ranges of 16 octets: IPv4 stands as `::ffff:a.b.c.d`, as in the store.

use std::net::{IpAddr, Ipv6Addr};

/// First and last address of a prefix.
pub type AddressRange = ([u8; 16], [u8; 16]);

/// The 16 octets that the store holds.
pub fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Back to an address: what is IPv4-mapped is IPv4.
pub fn from_octets(octets: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(octets).to_canonical()
}

/// `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`; bits behind the prefix are ignored, as routers do.
pub fn range(text: &str) -> Option<AddressRange> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let (width, ahead) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
    let length = match length {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
        None => width,
    };
    if length > width {
        return None;
    }
    // A shift by 128 is no shift: the empty prefix has every bit free.
    let free = u128::MAX.checked_shr(length + ahead).unwrap_or(0);
    let first = u128::from_be_bytes(octets(address)) & !free;
    Some((first.to_be_bytes(), (first | free).to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(text: &str) -> (String, String) {
        let (first, last) = range(text).unwrap();
        (from_octets(first).to_string(), from_octets(last).to_string())
    }

    #[test]
    fn a_prefix_is_a_range() {
        assert_eq!(ends("10.1.2.3/8"), ("10.0.0.0".into(), "10.255.255.255".into()));
        assert_eq!(ends("10.1.2.3"), ("10.1.2.3".into(), "10.1.2.3".into()));
        assert_eq!(ends("0.0.0.0/0"), ("0.0.0.0".into(), "255.255.255.255".into()));
        assert_eq!(
            ends("2001:db8::1/32"),
            ("2001:db8::".into(), "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".into())
        );
        assert_eq!(range("::/0").unwrap(), ([0; 16], [255; 16]));
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for wrong in
            ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0", "::/129", "host", "10.0.0.0/8/8"]
        {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }
}
