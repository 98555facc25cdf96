//! zlib, for text that an older ntopng inflates.
//!
//! It makes room for 43,690 octets at most (`min(max(10 * size, 128 KiB), 128 KiB / 3)`), and of the newest header it takes the size on the wire for
//! the size of the text: an honest header of that layout makes inflating fail. So nothing is compressed there, and texts stay below
//! [`TEXT_OCTETS_MAX`] where they are.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::Layout;

/// Text that a reader of the older headers has room for, with some to spare.
pub const TEXT_OCTETS_MAX: usize = 40_000;

/// Whether text under this header can be compressed at all.
pub const fn is_possible(layout: Layout) -> bool {
    !matches!(layout, Layout::V3)
}

/// An octet of 0, by which the reader knows, and the zlib stream (RFC 1950).
pub fn compress(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.push(0);
    let mut encoder = ZlibEncoder::new(&mut *out, Compression::fast());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(text);
    let _ = encoder.finish();
}
