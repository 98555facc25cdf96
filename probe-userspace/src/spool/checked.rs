//! A small file with its sum: one line, then JSON, filled up with blanks.
//!
//! ```text
//! gannet-cursor 1 crc32c=0a1b2c3d
//! {"name":"kafka://broker:9092", ..}
//! ```

/// What such a file has at most: more is not read into memory.
pub(super) const OCTETS_MAX: u64 = 16 << 20;

const SUM: &str = " crc32c=";

/// The file, in a multiple of `unit` octets. `magic` is its first word, and its version.
pub(super) fn to_octets(magic: &str, mut json: Vec<u8>, unit: usize) -> Vec<u8> {
    let line_octets = magic.len() + SUM.len() + "00000000\n".len();
    json.resize((line_octets + json.len()).next_multiple_of(unit) - line_octets, b' ');
    let mut octets = format!("{magic}{SUM}{:08x}\n", crc32c::crc32c(&json)).into_bytes();
    octets.extend_from_slice(&json);
    octets
}

/// What it says; `None` = it is damaged, or another file.
pub(super) fn from_octets<T: serde::de::DeserializeOwned>(magic: &str, octets: &[u8]) -> Option<T> {
    let end = octets.iter().position(|octet| *octet == b'\n')?;
    let (line, json) = (std::str::from_utf8(&octets[..end]).ok()?, &octets[end + 1..]);
    let sum = line.strip_prefix(magic)?.strip_prefix(SUM)?;
    let announced = u32::from_str_radix(sum, 16).ok()?;
    (crc32c::crc32c(json) == announced).then(|| serde_json::from_slice(json).ok())?
}
