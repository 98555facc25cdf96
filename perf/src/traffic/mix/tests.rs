//! What a mix is like as a whole. Every figure follows from the seed: the tolerances say how far from its law it may be.

use std::collections::BTreeMap;

use pcap_parser::{PcapBlockOwned, PcapError, create_reader};

use super::*;
use crate::craft::{LinkType, Pcap};
use crate::flows::{Amount, Flows, Line};
use crate::traffic::{Burst, Source};

fn mix() -> Mix {
    Mix {
        flows: 3000,
        sizes: Law::Pareto,
        alpha: 1.1,
        packets_max: 1000,
        packets_per_flow: 10,
        transports: "tcp=80,udp=18,icmp=2".parse().unwrap(),
        resets_percent: 5.0,
        clients: 1000,
        servers: 100,
        duration_seconds: 1.0,
        duration_sigma: 1.5,
        flows_per_second: 10_000.0,
        burstiness: 1.0,
        frame_size: FrameSize::Fixed(60),
        ipv6_percent: 0.0,
        vlan: None,
        seed: 1,
    }
}

/// All of it as a capture file, and the truth.
fn written(mix: &Mix, loops: u64) -> (Vec<u8>, Vec<Line>) {
    let mut stream = mix.stream(loops, true).unwrap();
    let pcap = Pcap::new(LinkType::Ethernet);
    let mut file = pcap.header();
    let mut burst = Burst::default();
    loop {
        stream.fill(&mut burst, 64);
        if burst.shots().is_empty() {
            break;
        }
        for shot in burst.shots() {
            let frame = burst.frame(shot);
            let octets = frame.len() as u32;
            file.extend(pcap.record_header(shot.time.as_nanos() as u64, octets, octets));
            file.extend(frame);
            stream.arrived(&burst, shot, 1);
        }
    }
    let truth = stream.truth().collect();
    (file, truth)
}

/// Time in nanoseconds and octets of every packet, by a reader that nobody here wrote.
fn packets(file: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut reader = create_reader(1 << 16, file).unwrap();
    let mut packets = Vec::new();
    loop {
        match reader.next() {
            Ok((consumed, block)) => {
                if let PcapBlockOwned::Legacy(packet) = block {
                    let time = u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_usec);
                    packets.push((time, packet.data[..packet.caplen as usize].to_vec()));
                }
                reader.consume(consumed);
            }
            Err(PcapError::Eof) => return packets,
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// What an untagged frame counts as, by its octets alone.
fn line(frame: &[u8]) -> Line {
    let ip = &frame[14..];
    let short = |at: usize| u16::from_be_bytes([ip[at], ip[at + 1]]);
    let (source, destination, protocol, header, octets) = if ip[0] >> 4 == 4 {
        let address = |at: usize| <[u8; 4]>::try_from(&ip[at..at + 4]).unwrap().into();
        (address(12), address(16), ip[9], 20, u64::from(short(2)))
    } else {
        let address = |at: usize| <[u8; 16]>::try_from(&ip[at..at + 16]).unwrap().into();
        (address(8), address(24), ip[6], 40, u64::from(short(4)) + 40)
    };
    let has_ports = matches!(protocol, 6 | 17);
    let port = |at: usize| if has_ports { short(header + at) } else { 0 };
    Line {
        source_ip_address: source,
        destination_ip_address: destination,
        source_transport_port: port(0),
        destination_transport_port: port(2),
        protocol_identifier: protocol,
        vlan_id: None,
        packet_delta_count: 1,
        reverse_packet_delta_count: 0,
        octet_delta_count: octets,
        reverse_octet_delta_count: 0,
        layer2_octet_delta_count: frame.len() as u64,
        reverse_layer2_octet_delta_count: 0,
    }
}

fn sums(lines: impl IntoIterator<Item = Line>) -> Flows {
    let mut flows = Flows::new();
    lines.into_iter().for_each(|line| crate::flows::add(&mut flows, &line));
    flows
}

#[test]
fn truth_is_what_an_independent_count_of_the_file_says() {
    // Few ends, so that keys are used again.
    let few = Mix { clients: 3, servers: 2, ipv6_percent: 30.0, frame_size: FrameSize::Imix, ..mix() };
    for mix in [mix(), few, Mix { sizes: Law::Zipf, alpha: 1.5, burstiness: 8.0, ..few }] {
        let (file, truth) = written(&mix, 1);
        let counted = sums(packets(&file).iter().map(|(_, frame)| line(frame)));
        assert_eq!(crate::flows::differences(&sums(truth), &counted), Vec::<String>::new());
        assert!(counted.len() > 1000);
    }
}

#[test]
fn truth_has_only_what_arrived() {
    let mut stream = mix().stream(1, true).unwrap();
    let mut burst = Burst::default();
    stream.fill(&mut burst, 64);
    let (took, lost) = burst.shots().split_at(20);
    assert_eq!(lost.len(), 44);
    took.iter().for_each(|shot| stream.arrived(&burst, shot, 1));
    let total = crate::flows::total(&sums(stream.truth()));
    let layer2_octets = took.iter().map(|shot| burst.frame(shot).len() as u64).sum();
    let octets = took.iter().map(|shot| shot.ip_octets).sum();
    assert_eq!(total, Amount { packets: 20, octets, layer2_octets });
}

/// FNV-1a: enough to see that two files are one.
fn digest(octets: &[u8]) -> u64 {
    let step = |sum: u64, octet: &u8| (sum ^ u64::from(*octet)).wrapping_mul(0x100_0000_01b3);
    octets.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[test]
fn one_seed_gives_these_very_octets_on_every_machine() {
    let mix = Mix { flows: 500, frame_size: FrameSize::Imix, ipv6_percent: 30.0, burstiness: 3.0, ..mix() };
    let (file, _) = written(&mix, 2);
    assert_eq!((file.len(), digest(&file)), (4_276_684, 3_034_307_394_194_482_099));
    assert_ne!(written(&Mix { seed: 2, ..mix }, 2).0, file);
}

#[test]
fn each_loop_is_that_of_the_next_seed_and_comes_after_the_one_before() {
    let mix = Mix { flows: 200, ..mix() };
    let (both, truth) = written(&mix, 2);
    let apart = [0, 1].map(|loops| written(&Mix { seed: mix.seed + loops, ..mix }, 1));
    let frames = |file: &[u8]| packets(file).into_iter().map(|(_, frame)| frame).collect::<Vec<_>>();
    assert_eq!(frames(&both), [frames(&apart[0].0), frames(&apart[1].0)].concat());
    let lines = apart.into_iter().flat_map(|(_, truth)| truth);
    assert_eq!(crate::flows::differences(&sums(lines), &sums(truth)), Vec::<String>::new());
    assert!(packets(&both).is_sorted_by_key(|(time, _)| *time));
    assert!(packets(&written(&mix, 0).0).is_empty());
}

#[test]
fn sizes_of_the_flows_and_their_transports_are_as_asked_for() {
    // So many ends that next to no key is used twice: then keys are flows. ICMP has no ports and is left out.
    let many = Mix { flows: 20_000, clients: 1 << 20, servers: 1 << 20, packets_max: 200, ..mix() };
    let (file, truth) = written(&Mix { transports: "tcp=80,udp=20".parse().unwrap(), ..many }, 1);
    let share = |holds: &dyn Fn(&Line) -> bool| {
        truth.iter().filter(|line| holds(line)).count() as f64 / truth.len() as f64
    };
    let packets_of = |line: &Line| line.packet_delta_count + line.reverse_packet_delta_count;
    assert!(truth.len() > 19_900, "{}", truth.len());
    assert!((share(&|line| line.protocol_identifier == 6) - 0.8).abs() < 0.01);
    // By the formula with this bound; without one it is 27.1 and 96.7 %.
    assert!((share(&|line| packets_of(line) == 1) - 0.274).abs() < 0.01);
    assert!((share(&|line| packets_of(line) < 64) - 0.976).abs() < 0.003);
    let resets = packets(&file).iter().filter(|(_, frame)| frame[23] == 6 && frame[47] & 4 != 0).count();
    let tcp_with_more_than_one = 0.8 * 0.73 * 20_000.0;
    assert!((resets as f64 / tcp_with_more_than_one - 0.05).abs() < 0.01, "{resets}");
}

#[test]
fn frames_are_imix_and_versions_shared_as_asked_for() {
    let mix = Mix {
        transports: "udp=1".parse().unwrap(),
        sizes: Law::Fixed,
        frame_size: FrameSize::Imix,
        ipv6_percent: 25.0,
        ..mix()
    };
    let (file, _) = written(&mix, 1);
    let packets = packets(&file);
    assert_eq!(packets.len(), 30_000);
    let mut by_length: BTreeMap<usize, f64> = BTreeMap::new();
    for (_, frame) in &packets {
        // IPv6 and UDP do not fit 60 octets.
        *by_length.entry(if frame.len() == 62 { 60 } else { frame.len() }).or_default() += 1.0 / 2500.0;
    }
    assert_eq!(by_length.keys().copied().collect::<Vec<_>>(), [60, 590, 1514]);
    for (length, twelfths) in [(60, 7.0), (590, 4.0), (1514, 1.0)] {
        assert!((by_length[&length] - twelfths).abs() < 0.15, "{by_length:?}");
    }
    let six = packets.iter().filter(|(_, frame)| frame[12] == 0x86).count();
    assert!((six as f64 / 30_000.0 - 0.25).abs() < 0.02, "{six}");
}

#[test]
fn flows_begin_at_the_rate_asked_for_and_the_most_popular_server_has_its_share() {
    let mix = Mix { flows: 20_000, sizes: Law::Fixed, packets_per_flow: 1, servers: 100, ..mix() };
    let (file, truth) = written(&mix, 1);
    let seconds = packets(&file).last().unwrap().0 as f64 / 1e9;
    assert!((seconds - 2.0).abs() < 0.05, "{seconds}");
    let mut of_server: BTreeMap<_, u64> = BTreeMap::new();
    for line in &truth {
        *of_server.entry(line.destination_ip_address).or_default() += line.packet_delta_count;
    }
    // 1 / (1 + 1/2 + ... + 1/100)
    let first = *of_server.values().max().unwrap() as f64 / 20_000.0;
    assert!((first - 0.193).abs() < 0.01, "{first}");
}

#[test]
fn durations_have_the_median_asked_for_and_bursts_keep_it() {
    for burstiness in [1.0, 5.0] {
        let one_key_each =
            Mix { clients: 1 << 20, servers: 1 << 20, sizes: Law::Fixed, packets_per_flow: 200, ..mix() };
        let udp = Mix { transports: "udp=1".parse().unwrap(), flows: 500, burstiness, ..one_key_each };
        let (file, _) = written(&udp, 1);
        let mut ends: BTreeMap<Vec<u8>, (u64, u64)> = BTreeMap::new();
        let mut back_to_back = 0;
        for (time, frame) in packets(&file) {
            // The client's address and port, whichever side it is on.
            let (address, port) = if frame[26] == 10 { (26, 34) } else { (30, 36) };
            let key = [&frame[address..address + 4], &frame[port..port + 2]].concat();
            let (_, last) = ends.entry(key).or_insert((time, time));
            back_to_back += u32::from(*last > 0 && time - *last == 1_200);
            *last = time;
        }
        let mut durations: Vec<u64> = ends.values().map(|(first, last)| last - first).collect();
        durations.sort_unstable();
        let median = durations[durations.len() / 2] as f64 / 1e9;
        assert!((median - 1.0).abs() < 0.15, "{median}");
        // Of five packets of a train, four come right behind another.
        let share = f64::from(back_to_back) / (500.0 * 199.0);
        assert!((share - (1.0 - 1.0 / burstiness)).abs() < 0.02, "{share}");
    }
}

#[test]
fn what_is_out_of_range_is_named_with_its_bounds() {
    let wrong = [
        (Mix { alpha: 0.0, ..mix() }, "--alpha 0: it must be from 0.1 to 10"),
        (Mix { alpha: f64::NAN, ..mix() }, "--alpha NaN"),
        (Mix { clients: 0, ..mix() }, "--clients 0: it must be from 1 to 1048576"),
        (Mix { sizes: Law::Zipf, packets_max: 1 << 21, ..mix() }, "--packets-max 2097152"),
        (Mix { burstiness: 0.5, ..mix() }, "--burstiness 0.5"),
        (Mix { frame_size: FrameSize::Fixed(59), ..mix() }, "--frame-size 59: it must be from 60"),
        (Mix { vlan: Some(4095), ..mix() }, "--vlan 4095"),
    ];
    for (mix, words) in wrong {
        let error = mix.stream(1, false).unwrap_err().to_string();
        assert!(error.starts_with(words), "{error}");
    }
    for (text, words) in
        [("tcp", "\"tcp\""), ("tcp=-1", "\"tcp=-1\""), ("sctp=1", "\"sctp=1\""), ("tcp=0", "above 0")]
    {
        assert!(text.parse::<Transports>().unwrap_err().contains(words), "{text}");
    }
}
