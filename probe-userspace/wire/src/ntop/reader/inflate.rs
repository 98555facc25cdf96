//! zlib, with a bound: a message of a kilobyte must not fill the memory.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::Error;

/// Octets of a message once inflated: eight times what ntopng has room for.
pub const TEXT_OCTETS_MAX: usize = 1 << 20;

/// Inflates a stream (RFC 1950) into the room.
pub(super) fn inflate<'a>(stream: &[u8], room: &'a mut Vec<u8>) -> Result<&'a [u8], Error> {
    room.clear();
    let mut bounded = ZlibDecoder::new(stream).take(TEXT_OCTETS_MAX as u64 + 1);
    bounded.read_to_end(room).map_err(|error| Error::Zlib(error.to_string()))?;
    if room.len() > TEXT_OCTETS_MAX { Err(Error::TooLong) } else { Ok(room) }
}
