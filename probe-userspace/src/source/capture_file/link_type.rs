//! Link types of capture files (the LINKTYPE_ numbers of the tcpdump group), as far as they are read.

use crate::source::LinkLayer;

/// What frames of a link type begin with.
pub(super) fn link_layer(link_type: u32) -> LinkLayer {
    match link_type {
        0 => LinkLayer::Null,
        1 => LinkLayer::Ethernet,
        // LINKTYPE_RAW, and the numbers that DLT_RAW has on OpenBSD (14) and elsewhere (12).
        12 | 14 | 101 => LinkLayer::Ip,
        108 => LinkLayer::Loop,
        113 => LinkLayer::LinuxCookedV1,
        228 => LinkLayer::Ipv4,
        229 => LinkLayer::Ipv6,
        276 => LinkLayer::LinuxCookedV2,
        other => LinkLayer::Other(other),
    }
}
