//! Writing a capture filter into the bank that is not in force.
//!
//! The maps cannot be changed all at once, so there are two of each (by index, or by the key's first octet): the program
//! reads one bank while the other is written, and one octet of its configuration says which. A program that still runs
//! on the old bank when the octet changes is done long before that bank is written again.

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, MapData, MapError};
use xdp_abi::filter::Rules;
use xdp_abi::map::{
    BANKS, FilterBits, KINDS, PORT_WORDS, PORTS, PREFIXES, PROTOCOL_WORDS, PROTOCOLS, Prefix,
};

use super::error::Error;
use super::filter::CaptureFilter;

pub(super) type PrefixOctets = [u8; size_of::<Prefix>()];
pub(super) type Bits = [u64; 2];

const _: () = assert!(size_of::<Bits>() == size_of::<FilterBits>());

/// The filter's maps.
pub(super) struct Banks {
    prefixes: LpmTrie<MapData, PrefixOctets, u32>,
    ports: Array<MapData, Bits>,
    protocols: Array<MapData, Bits>,
    kinds: Array<MapData, u32>,
    /// Prefixes in each bank, to be taken out before the next filter goes in.
    held: [Vec<Key<PrefixOctets>>; BANKS as usize],
    in_force: Option<u8>,
}

impl Banks {
    pub(super) fn new(
        prefixes: LpmTrie<MapData, PrefixOctets, u32>,
        ports: Array<MapData, Bits>,
        protocols: Array<MapData, Bits>,
        kinds: Array<MapData, u32>,
    ) -> Self {
        Self { prefixes, ports, protocols, kinds, held: Default::default(), in_force: None }
    }

    /// Writes the filter and returns what the program's configuration has to say for it to be in force; nothing changes
    /// for the program before.
    pub(super) fn write(&mut self, filter: &CaptureFilter) -> Result<u8, Error> {
        if filter.is_empty() {
            self.in_force = None;
            return Ok(0);
        }
        let bank = self.in_force.map_or(0, |bank| 1 - bank);
        self.write_prefixes(bank, filter).map_err(writing(PREFIXES))?;
        write_bits(&mut self.ports, u32::from(bank) * PORT_WORDS, filter.ports()).map_err(writing(PORTS))?;
        write_bits(&mut self.protocols, u32::from(bank) * PROTOCOL_WORDS, filter.protocols())
            .map_err(writing(PROTOCOLS))?;
        self.kinds.set(u32::from(bank), filter.kinds().0, 0).map_err(writing(KINDS))?;
        self.in_force = Some(bank);
        Ok(bank + 1)
    }

    fn write_prefixes(&mut self, bank: u8, filter: &CaptureFilter) -> Result<(), MapError> {
        let held = &mut self.held[usize::from(bank)];
        while let Some(key) = held.last() {
            self.prefixes.remove(key)?;
            held.pop();
        }
        for (prefix, bits, verdict) in filter.prefixes() {
            let key = Key::new(bits, Prefix { bank, ..prefix }.to_octets());
            self.prefixes.insert(&key, verdict as u32, 0)?;
            held.push(key);
        }
        Ok(())
    }
}

fn write_bits(map: &mut Array<MapData, Bits>, first: u32, words: &[FilterBits]) -> Result<(), MapError> {
    for (index, bits) in (first..).zip(words) {
        map.set(index, [bits.include, bits.exclude], 0)?;
    }
    Ok(())
}

fn writing(map: &'static str) -> impl FnOnce(MapError) -> Error {
    move |error| Error::Map { map, operation: "writing", error }
}
