//! The capture filter's rules, in maps.

use crate::maps::{KINDS, PORTS, PREFIXES, PROTOCOLS};
use aya_ebpf::btf_maps::lpm_trie::Key;
use xdp_abi::filter::{Kinds, Rules, Verdict};
use xdp_abi::map::{BANKS, Config, PORT_WORDS, PROTOCOL_WORDS, Prefix};

/// One bank of the rules.
pub(crate) struct Bank {
    bank: u32,
    kinds: Kinds,
}

impl Bank {
    /// The bank in force; without a filter none of its words is asked for, and everything is selected.
    #[inline(always)]
    pub(crate) fn in_force(config: &Config) -> Self {
        if config.filter == 0 {
            return Self { bank: 0, kinds: Kinds(0) };
        }
        let bank = (u32::from(config.filter) - 1) % BANKS;
        Self { bank, kinds: Kinds(KINDS.get(bank).copied().unwrap_or(0)) }
    }
}

impl Rules for Bank {
    #[inline(always)]
    fn kinds(&self) -> Kinds {
        self.kinds
    }

    #[inline(always)]
    fn prefix(&self, ip_version: u8, address: &[u8; 16]) -> Verdict {
        let data = Prefix { bank: self.bank as u8, ip_version, zero: [0; 2], address: *address };
        let key = Key::new(Prefix::host_bits(ip_version), data);
        Verdict::from_stored(PREFIXES.get(&key).copied().unwrap_or(0))
    }

    #[inline(always)]
    fn port(&self, port: u16) -> Verdict {
        let word = self.bank * PORT_WORDS + u32::from(port >> 6);
        PORTS.get(word).map_or(Verdict::Unnamed, |bits| Verdict::of_bit(bits, u32::from(port)))
    }

    #[inline(always)]
    fn protocol(&self, protocol: u8) -> Verdict {
        let word = self.bank * PROTOCOL_WORDS + u32::from(protocol >> 6);
        PROTOCOLS.get(word).map_or(Verdict::Unnamed, |bits| Verdict::of_bit(bits, u32::from(protocol)))
    }
}
