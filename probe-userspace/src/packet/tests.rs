//! One IPv4 packet behind every link layer gives the same flow.

use xdp_abi::headers::{NonFlow, Undecodable, Unmetered};
use xdp_abi::key::{FlowKey, VLAN_PRESENT};

use super::{Frame, Headers, Packet};
use crate::source::LinkLayer;

/// UDP from 192.0.2.1:1000 to 192.0.2.2:53, total length 28, identification 1.
const UDP: [u8; 28] =
    [0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x03, 0xe8, 0, 53, 0, 8, 0, 0];

fn frame<'a>(bytes: &'a [u8], link_layer: LinkLayer) -> Frame<'a> {
    Frame {
        bytes,
        further_octets: 0,
        original_octets: bytes.len() as u32,
        timestamp_nanoseconds: 5,
        link_layer,
        stripped_vlan: None,
        left_out: false,
    }
}

/// As [`super::read`] reads a frame into a place that held another packet.
fn read(frame: &Frame<'_>, ingress_interface: u32) -> Result<Packet, Unmetered> {
    let headers = Headers { key: FlowKey { vlan: 7, ..FlowKey::EMPTY }, tcp_flags: 0xff, ..Headers::EMPTY };
    let mut packet = Packet { headers, octets: 1, ..Packet::EMPTY };
    super::read(frame, ingress_interface, &mut packet).map(|()| packet)
}

fn behind(header: &[u8], link_layer: LinkLayer) -> Result<Packet, Unmetered> {
    read(&frame(&[header, &UDP].concat(), link_layer), 3)
}

fn cooked_v1(hardware: u16, ethertype: u16) -> Vec<u8> {
    let mut header = vec![0; 16];
    header[2..4].copy_from_slice(&hardware.to_be_bytes());
    header[14..16].copy_from_slice(&ethertype.to_be_bytes());
    header
}

fn cooked_v2(hardware: u16, ethertype: u16) -> Vec<u8> {
    let mut header = vec![0; 20];
    header[0..2].copy_from_slice(&ethertype.to_be_bytes());
    header[8..10].copy_from_slice(&hardware.to_be_bytes());
    header
}

#[test]
fn every_link_layer_leads_to_the_same_key() {
    let ethernet = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 8, 0];
    let bare = behind(&[], LinkLayer::Ip).unwrap();
    assert_eq!((bare.octets, bare.layer2_octets, bare.ingress_interface), (28, 28, 3));
    for (header, link_layer) in [
        (ethernet.to_vec(), LinkLayer::Ethernet),
        (vec![], LinkLayer::Ipv4),
        (cooked_v1(1, 0x0800), LinkLayer::LinuxCookedV1),
        (cooked_v2(1, 0x0800), LinkLayer::LinuxCookedV2),
        (vec![2, 0, 0, 0], LinkLayer::Null),
        (vec![0, 0, 0, 2], LinkLayer::Null),
        (vec![0, 0, 0, 2], LinkLayer::Loop),
    ] {
        let packet = behind(&header, link_layer).unwrap();
        assert_eq!(packet.headers.key, bare.headers.key, "{link_layer:?}");
        assert_eq!((packet.octets, packet.layer2_octets as usize), (28, 28 + header.len()), "{link_layer:?}");
    }
}

#[test]
fn what_is_not_ip_has_its_reason() {
    for (header, link_layer, expected) in [
        (vec![], LinkLayer::Other(147), Unmetered::NonFlow(NonFlow::LinkType)),
        (vec![0, 0, 0, 7], LinkLayer::Loop, Unmetered::NonFlow(NonFlow::OtherFamily)),
        (cooked_v1(1, 0x0806), LinkLayer::LinuxCookedV1, Unmetered::NonFlow(NonFlow::Arp)),
        (cooked_v1(1, 0x0004), LinkLayer::LinuxCookedV1, Unmetered::NonFlow(NonFlow::Llc)),
        (cooked_v1(824, 0x0800), LinkLayer::LinuxCookedV1, Unmetered::NonFlow(NonFlow::OtherEthertype)),
        (vec![], LinkLayer::Ipv6, Unmetered::Undecodable(Undecodable::IpVersion)),
    ] {
        assert_eq!(behind(&header, link_layer), Err(expected), "{link_layer:?}");
    }
}

#[test]
fn a_cut_off_link_header_is_undecodable() {
    for (link_layer, octets) in [
        (LinkLayer::Ethernet, 13),
        (LinkLayer::LinuxCookedV1, 15),
        (LinkLayer::LinuxCookedV2, 19),
        (LinkLayer::Null, 3),
        (LinkLayer::Ip, 0),
    ] {
        let cut = vec![0; octets];
        assert_eq!(
            read(&frame(&cut, link_layer), 0),
            Err(Unmetered::Undecodable(Undecodable::LinkTruncated)),
            "{link_layer:?}"
        );
    }
}

#[test]
fn a_stripped_tag_is_put_back_outside() {
    let tagged = [&[0; 12][..], &[0x81, 0, 0, 7, 8, 0], &UDP].concat();
    let packet =
        read(&Frame { stripped_vlan: Some(0x6005), ..frame(&tagged, LinkLayer::Ethernet) }, 0).unwrap();
    assert_eq!(
        (packet.headers.key.vlan, packet.headers.key.customer_vlan),
        (VLAN_PRESENT | 5, VLAN_PRESENT | 7)
    );
}

#[test]
fn a_total_length_of_zero_means_the_captured_octets() {
    let mut segment = UDP;
    segment[3] = 0;
    let one_buffer = frame(&segment, LinkLayer::Ip);
    assert_eq!(read(&one_buffer, 0).unwrap().octets, 28);
    assert_eq!(read(&Frame { further_octets: 1000, ..one_buffer }, 0).unwrap().octets, 1028);
}
