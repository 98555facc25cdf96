//! An interface of a pcapng section: its link type and its clock.

use super::decoder::ByteOrder;
use super::link_type::link_layer;
use crate::source::LinkLayer;

const OPTION_END: u16 = 0;
const OPTION_TIMESTAMP_RESOLUTION: u16 = 9;
const OPTION_TIMESTAMP_OFFSET: u16 = 14;
const OPTIONS_AT: usize = 8;

/// The latest time that is represented, in the year 2262: what a signed 64-bit count of nanoseconds holds, which is
/// what the stores have.
const LATEST_NANOSECONDS: i128 = i64::MAX as i128;

/// What is remembered of an interface description block. `if_fcslen` is not used: octets of a file are the original
/// length as the file has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) link_layer: LinkLayer,
    /// Captured octets at most; `u32::MAX` where the file says 0, which means no limit.
    pub(super) snap_length: u32,
    resolution: Resolution,
    /// Added to every time.
    offset_seconds: i64,
}

/// Units of a time in a second: a power of ten, or of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    Decimal(u8),
    Binary(u8),
}

impl Interface {
    /// From the body of its block; `None` when it is too short for one.
    pub(super) fn parse(body: &[u8], order: ByteOrder) -> Option<Self> {
        if body.len() < OPTIONS_AT {
            return None;
        }
        let snap_length = match order.u32(body, 4) {
            0 => u32::MAX,
            limit => limit,
        };
        let mut interface = Self {
            link_layer: link_layer(order.u16(body, 0).into()),
            snap_length,
            resolution: Resolution::Decimal(6),
            offset_seconds: 0,
        };
        interface.read_options(&body[OPTIONS_AT..], order);
        Some(interface)
    }

    /// Reads what it knows and stops where the list is broken: a damaged option does not make packets unreadable.
    fn read_options(&mut self, mut options: &[u8], order: ByteOrder) {
        while options.len() >= 4 {
            let (code, length) = (order.u16(options, 0), usize::from(order.u16(options, 2)));
            let Some(value) = options.get(4..4 + length) else { return };
            match (code, value) {
                (OPTION_END, _) => return,
                (OPTION_TIMESTAMP_RESOLUTION, [octet]) => self.resolution = Resolution::from_octet(*octet),
                (OPTION_TIMESTAMP_OFFSET, value) if value.len() == 8 => {
                    self.offset_seconds = offset(value, order);
                }
                _ => {}
            }
            options = options.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        }
    }

    /// A time of this interface in nanoseconds since the UNIX epoch, held within what stores can represent.
    pub(super) fn nanoseconds(&self, units: u64) -> u64 {
        let nanoseconds =
            self.resolution.nanoseconds(units) + i128::from(self.offset_seconds) * 1_000_000_000;
        nanoseconds.clamp(0, LATEST_NANOSECONDS) as u64
    }
}

fn offset(value: &[u8], order: ByteOrder) -> i64 {
    let (first, second) = (u64::from(order.u32(value, 0)), u64::from(order.u32(value, 4)));
    let bits = match order {
        ByteOrder::Little => second << 32 | first,
        ByteOrder::Big => first << 32 | second,
    };
    bits.cast_signed()
}

impl Resolution {
    fn from_octet(octet: u8) -> Self {
        let exponent = octet & 0x7f;
        if octet & 0x80 == 0 { Self::Decimal(exponent) } else { Self::Binary(exponent) }
    }

    fn nanoseconds(self, units: u64) -> i128 {
        let units = i128::from(units);
        match self {
            Self::Decimal(exponent @ 0..=9) => units * 10_i128.pow(9 - u32::from(exponent)),
            // Below 10^-28 s nothing of a 64-bit count is left.
            Self::Decimal(exponent) => units / 10_i128.pow(u32::from(exponent - 9).min(30)),
            // A 64-bit count times 10^9 has less than 94 bits.
            Self::Binary(exponent) => (units * 1_000_000_000) >> u32::from(exponent).min(126),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(resolution: Resolution, offset_seconds: i64) -> Interface {
        Interface { link_layer: LinkLayer::Ethernet, snap_length: 0, resolution, offset_seconds }
    }

    #[test]
    fn every_resolution_gives_the_same_second() {
        let second = 1_700_000_000_u64;
        for exponent in 0..=9 {
            let interface = with(Resolution::Decimal(exponent), 0);
            assert_eq!(interface.nanoseconds(second * 10_u64.pow(exponent.into())), second * 1_000_000_000);
        }
        for exponent in 0..=32 {
            assert_eq!(
                with(Resolution::from_octet(0x80 | exponent), 0).nanoseconds(second << exponent),
                second * 1_000_000_000
            );
        }
    }

    #[test]
    fn absurd_clocks_stay_in_range() {
        for resolution in (0..=255).map(Resolution::from_octet) {
            for offset in [i64::MIN, -1, 0, i64::MAX] {
                for units in [0, 1, u64::MAX] {
                    assert!(with(resolution, offset).nanoseconds(units) <= i64::MAX as u64);
                }
            }
        }
    }

    #[test]
    fn an_offset_is_added() {
        assert_eq!(with(Resolution::Decimal(9), -3).nanoseconds(5_000_000_001), 2_000_000_001);
    }
}
