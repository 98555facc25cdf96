//! Numbers and addresses as text, without the machinery of `format!`: tens of thousands a second are none of its business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Appends it in decimal.
pub(super) fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends it as `std` writes it.
pub(super) fn address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => ipv4(v4, out),
        IpAddr::V6(v6) => ipv6(v6, out),
    }
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
