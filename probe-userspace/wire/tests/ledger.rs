//! Each identity holds over sound books, breaks when any one of its terms is changed, and then names its hop.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use flow_wire::fault::Hop;
use flow_wire::ledger::{
    Amount, Closes, CursorTerms, Discard, Guarantee, IN_FLIGHT_PACKETS_MAX, Message, MessageError, Pass,
    QueueTerms, Refuse, StoredStream, StreamCut, Unshunted, WorkerTerms, broken, cursor_of, lost_on_bus,
    of_probe, of_stream, residual,
};
use flow_wire::stamp::{Epoch, Sequence, StreamId};
use xdp_abi::headers::{NonFlow, Undecodable};

fn amount(packets: u64) -> Amount {
    Amount { packets, octets: packets * 100 }
}

/// 1,050 packets arrive; each term that exists has some of them.
fn sound() -> Message {
    let queue = QueueTerms {
        interface: "eth0".to_owned(),
        queue: 0,
        offered: Some(amount(1_060)),
        device_missed: BTreeMap::from([("rx_out_of_buffer".to_owned(), 10)]),
        seen: amount(1_050),
        passed: BTreeMap::from([(Pass::Filter, amount(20)), (Pass::Own, amount(5))]),
        shunted: amount(50),
        shunt_counted: amount(50),
        redirected: amount(970),
        dropped_before_redirect: false,
        refused: BTreeMap::from([(Refuse::RedirectFailed, amount(5))]),
        received: amount(960),
        rx_ring_full: 6,
        rx_dropped: 3,
        not_delivered: Some(1),
        rx_fill_ring_empty_descs: 99,
    };
    let worker = WorkerTerms {
        worker: 0,
        received: amount(960),
        metered: amount(900),
        shunt_merged: amount(50),
        shunted_flows: 1,
        shunts: 2,
        unshunted: BTreeMap::from([(Unshunted::PlaceTaken, 3)]),
        undecodable: BTreeMap::from([(Undecodable::TcpTruncated, amount(15))]),
        non_flow: BTreeMap::from([(NonFlow::Arp, amount(20))]),
        not_selected: amount(15),
        handed_over: amount(7),
        taken_over: amount(7),
        handover_full: amount(10),
        exported: amount(920),
        open: Amount::ZERO,
        in_record_ring: Amount::ZERO,
        discarded: BTreeMap::from([(Discard::ExportQueueFull, amount(30))]),
        open_flows: 7,
        records: 40,
        fragments_without_first: 1,
        evicted_flows: 2,
        split_flows: 3,
        recovered: amount(20),
        lost_at_crash: amount(5),
        inherited: amount(25),
    };
    let cursor = CursorTerms {
        sink: "kafka://a:9092".to_owned(),
        stream: StreamId(0),
        guarantee: Guarantee::ExactlyOnce,
        records_out: 40,
        acknowledged: 30,
        in_spool: 6,
        discarded: BTreeMap::from([(Discard::OutboxFull, 4)]),
        number: 0,
        read_here: false,
        discarded_amounts: BTreeMap::new(),
        discarded_batches: 1,
    };
    Message {
        version: Message::VERSION,
        exporter: "host".to_owned(),
        epoch_start_nanoseconds: 1,
        time_nanoseconds: 2,
        active_timeout_seconds: 120,
        queues: vec![queue],
        workers: vec![worker],
        cursors: vec![cursor],
        cuts: vec![StreamCut { stream: StreamId(0), next: Sequence(5), records: 40, exported: amount(800) }],
        closed: true,
        ..Message::default()
    }
}

fn named(message: &Message) -> Option<Hop> {
    broken(&of_probe(message, None)).first().map(|identity| identity.hop)
}

#[test]
fn books_closed_with_a_bound_may_have_had_packets_in_flight() {
    let mut message = sound();
    message.queues[0].offered = None;
    message.queues[0].seen += Amount::one(60);
    assert_ne!(residual(&of_probe(&message, None)), Amount::ZERO);
    let closes = Closes { epoch: Epoch(uuid::Uuid::nil()), generation: 2, is_bound: true };
    message.closes = Some(closes);
    assert_eq!(residual(&of_probe(&message, None)), Amount::ZERO);
    message.closes = Some(Closes { is_bound: false, ..closes });
    assert_ne!(residual(&of_probe(&message, None)), Amount::ZERO);
}

#[test]
fn sound_books_balance() {
    let identities = of_probe(&sound(), None);
    assert_eq!(residual(&identities), Amount::ZERO);
    assert_eq!(identities.len(), 12);
}

/// Killed, when 4 packets lay in its rings; by which queue the others came nobody knows.
fn killed() -> Message {
    let mut message = sound();
    message.closes = Some(Closes { epoch: Epoch(uuid::Uuid::nil()), generation: 2, is_bound: false });
    let queue = &mut message.queues[0];
    (queue.offered, queue.received) = (None, Amount::ZERO);
    queue.redirected += amount(4);
    queue.seen += amount(4);
    message.lost_in_rings = Some(4);
    message
}

#[test]
fn each_term_of_a_killed_epochs_kernel_side_can_break_the_books() {
    assert_eq!(named(&killed()), None);
    let changes: [(Hop, Change); 6] = [
        (Hop::Kernel, |m| m.queues[0].seen += Amount::one(60)),
        (Hop::Kernel, |m| *m.queues[0].passed.get_mut(&Pass::Filter).unwrap() += Amount::one(60)),
        (Hop::Kernel, |m| m.queues[0].redirected += Amount::one(60)),
        (Hop::Receive, |m| m.workers[0].received += Amount::one(60)),
        (Hop::Receive, |m| m.queues[0].rx_ring_full += 1),
        (Hop::Receive, |m| m.lost_in_rings = Some(3)),
    ];
    for (index, (hop, change)) in changes.into_iter().enumerate() {
        let mut message = killed();
        change(&mut message);
        assert_eq!(named(&message), Some(hop), "change {index}");
    }
}

/// A packet socket: 10 were dropped before it took the others, 20 of which its filter passed on.
fn packet_socket() -> Message {
    let mut message = sound();
    let queue = &mut message.queues[0];
    (queue.offered, queue.seen) = (None, Amount { packets: 990, octets: 98_000 });
    queue.passed.remove(&Pass::Own);
    queue.refused.clear();
    queue.dropped_before_redirect = true;
    (queue.redirected, queue.received) = (amount(960), amount(960));
    (queue.shunted, queue.shunt_counted) = (Amount::ZERO, Amount::ZERO);
    (message.workers[0].shunt_merged, message.workers[0].exported) = (Amount::ZERO, amount(870));
    message
}

#[test]
fn each_term_of_a_packet_socket_can_break_the_books() {
    assert_eq!(named(&packet_socket()), None);
    let changes: [(Hop, Change); 7] = [
        (Hop::Kernel, |m| m.queues[0].seen.packets += 1),
        (Hop::Kernel, |m| m.queues[0].rx_ring_full -= 1),
        (Hop::Kernel, |m| m.queues[0].rx_dropped += 1),
        (Hop::Kernel, |m| *m.queues[0].passed.get_mut(&Pass::Filter).unwrap() += Amount::one(60)),
        (Hop::Kernel, |m| m.queues[0].redirected += Amount::one(60)),
        (Hop::Receive, |m| m.queues[0].received += Amount::one(60)),
        (Hop::Receive, |m| m.queues[0].received.octets -= 1),
    ];
    for (index, (hop, change)) in changes.into_iter().enumerate() {
        let mut message = packet_socket();
        change(&mut message);
        assert_eq!(named(&message), Some(hop), "change {index}");
    }
}

type Change = fn(&mut Message);

/// One packet or record more in one term.
const CHANGES: &[(&str, Hop, Change)] = &[
    ("offered", Hop::Device, |m| m.queues[0].offered.as_mut().unwrap().packets += 1),
    ("device_missed", Hop::Device, |m| *m.queues[0].device_missed.get_mut("rx_out_of_buffer").unwrap() += 1),
    ("passed", Hop::Kernel, |m| *m.queues[0].passed.get_mut(&Pass::Own).unwrap() += Amount::one(60)),
    ("shunted", Hop::Kernel, |m| m.queues[0].shunted += Amount::one(60)),
    ("shunt_counted", Hop::Kernel, |m| m.queues[0].shunt_counted += Amount::one(60)),
    ("shunt_merged", Hop::Shunt, |m| m.workers[0].shunt_merged += Amount::one(60)),
    ("refused", Hop::Kernel, |m| {
        *m.queues[0].refused.get_mut(&Refuse::RedirectFailed).unwrap() += Amount::one(60)
    }),
    ("seen octets", Hop::Kernel, |m| m.queues[0].seen.octets -= 1),
    ("rx_ring_full", Hop::Receive, |m| m.queues[0].rx_ring_full += 1),
    ("rx_dropped", Hop::Receive, |m| m.queues[0].rx_dropped += 1),
    ("not_delivered", Hop::Receive, |m| m.queues[0].not_delivered = Some(2)),
    ("queue received", Hop::Receive, |m| m.queues[0].received += Amount::one(60)),
    ("worker received", Hop::Receive, |m| m.workers[0].received += Amount::one(60)),
    ("undecodable", Hop::Meter, |m| {
        m.workers[0].undecodable.insert(Undecodable::IpVersion, Amount::one(60));
    }),
    ("non_flow", Hop::Meter, |m| {
        m.workers[0].non_flow.insert(NonFlow::Lldp, Amount::one(60));
    }),
    ("not_selected", Hop::Meter, |m| m.workers[0].not_selected += Amount::one(60)),
    ("handed_over", Hop::Meter, |m| m.workers[0].handed_over += Amount::one(60)),
    ("taken_over", Hop::Meter, |m| m.workers[0].taken_over += Amount::one(60)),
    ("handover_full", Hop::Meter, |m| m.workers[0].handover_full += Amount::one(60)),
    ("metered octets", Hop::Meter, |m| m.workers[0].metered.octets += 1),
    ("exported", Hop::Export, |m| m.workers[0].exported += Amount::one(60)),
    ("open", Hop::Export, |m| m.workers[0].open += Amount::one(60)),
    ("recovered", Hop::Export, |m| m.workers[0].recovered += Amount::one(60)),
    ("lost_at_crash", Hop::Export, |m| m.workers[0].lost_at_crash += Amount::one(60)),
    ("inherited", Hop::Export, |m| m.workers[0].inherited += Amount::one(60)),
    ("in_record_ring", Hop::Export, |m| m.workers[0].in_record_ring += Amount::one(60)),
    ("discarded", Hop::Export, |m| {
        m.workers[0].discarded.insert(Discard::OutboxFull, Amount::one(60));
    }),
    ("sealed", Hop::Batch, |m| m.cuts[0].records += 1),
    ("records_out", Hop::Batch, |m| m.cursors[0].records_out += 1),
    ("acknowledged", Hop::Batch, |m| m.cursors[0].acknowledged += 1),
    ("in_spool", Hop::Batch, |m| m.cursors[0].in_spool += 1),
    ("cursor discarded", Hop::Batch, |m| *m.cursors[0].discarded.get_mut(&Discard::OutboxFull).unwrap() += 1),
];

#[test]
fn each_term_breaks_its_identity_and_names_the_hop() {
    for (term, hop, change) in CHANGES {
        let mut message = sound();
        change(&mut message);
        assert_eq!(named(&message), Some(*hop), "{term}");
        assert_ne!(residual(&of_probe(&message, None)), Amount::ZERO, "{term}");
    }
}

#[test]
fn a_packet_lost_between_two_hops_names_the_first() {
    let mut message = sound();
    // The worker took it from the ring and dropped it: everything behind agrees with itself.
    message.workers[0].metered = amount(899);
    message.workers[0].exported = amount(919);
    assert_eq!(named(&message), Some(Hop::Meter));
    assert_eq!(residual(&of_probe(&message, None)), amount(1));
}

#[test]
fn octets_of_ring_losses_are_unknown_and_otherwise_compared() {
    let mut message = sound();
    message.queues[0].received.octets += 7;
    message.workers[0].received.octets += 7;
    message.workers[0].metered.octets += 7;
    message.workers[0].exported.octets += 7;
    assert_eq!(named(&message), None);
    let queue = &mut message.queues[0];
    (queue.rx_ring_full, queue.rx_dropped, queue.not_delivered) = (0, 0, None);
    queue.redirected.packets = 960;
    queue.seen.packets = 1_040;
    queue.offered = None;
    assert_eq!(named(&message), Some(Hop::Receive));
}

#[test]
fn a_live_left_over_is_upstream_and_bounded_by_the_interval() {
    /// 500 packets were seen since the message before; so many of the seen were redirected.
    fn broken_with(redirected: u64) -> Option<Hop> {
        let mut live = sound();
        live.closed = false;
        live.queues[0].redirected = amount(redirected);
        live.queues[0].seen = amount(redirected + 80);
        live.queues[0].offered = None;
        let mut previous = live.clone();
        previous.queues[0].seen = amount(redirected + 80 - 500);
        broken(&of_probe(&live, Some(&previous))).first().map(|identity| identity.hop)
    }
    let bound = 500 + IN_FLIGHT_PACKETS_MAX;
    assert_eq!(broken_with(970), None);
    assert_eq!(broken_with(970 + bound), None);
    assert_eq!(broken_with(970 + bound + 1), Some(Hop::Receive));
    // More received than redirected: no reading order explains that.
    assert_eq!(broken_with(969), Some(Hop::Receive));
}

#[test]
fn hostile_numbers_neither_panic_nor_balance() {
    let mut message = sound();
    let all = Amount { packets: u64::MAX, octets: u64::MAX };
    message.workers.push(WorkerTerms { received: all, metered: all, ..WorkerTerms::default() });
    message.workers.push(WorkerTerms { received: all, ..WorkerTerms::default() });
    message.queues[0].offered = Some(all);
    assert_eq!(named(&message), Some(Hop::Device));
    assert!(!residual(&of_probe(&message, None)).eq(&Amount::ZERO));
}

#[test]
fn a_message_is_read_as_it_was_written() {
    let body = sound().encode().unwrap();
    assert_eq!(Message::decode(&body).unwrap(), sound());
    let mut later: serde_json::Value = serde_json::from_slice(&body).unwrap();
    later["weather"] = "fine".into();
    assert_eq!(Message::decode(later.to_string().as_bytes()).unwrap(), sound());
    later["version"] = 2.into();
    later["queues"] = "other".into();
    assert!(matches!(Message::decode(later.to_string().as_bytes()), Err(MessageError::Version(2))));
    assert!(matches!(Message::decode(b"{"), Err(MessageError::Json(_))));
}

/// The message of `sound()` says 40 records in 5 batches, one of 4 records discarded.
fn stored() -> StoredStream {
    StoredStream {
        missing_batches: 1,
        expired_batches: 0,
        awaited_batches: 0,
        duplicate_batches: 0,
        arrived: 36,
        came_all_the_same: 0,
        on_several_buses: false,
        refused: 1,
        handed: 35,
        stored: 35,
        stored_amount: amount(700),
        removed: 0,
        removed_amount: Amount::ZERO,
    }
}

fn collected(message: &Message, stored: &StoredStream) -> Vec<Hop> {
    let cursor = cursor_of(message, StreamId(0), "kafka");
    let identities = of_stream(&message.cuts[0], cursor, stored);
    broken(&identities).iter().map(|identity| identity.hop).collect()
}

#[test]
fn what_is_stored_balances_against_the_cut() {
    assert_eq!(collected(&sound(), &stored()), []);
}

#[test]
fn a_dead_sink_of_the_same_kind_is_not_taken_for_the_one_that_is_read() {
    let mut message = sound();
    let mut dead = message.cursors[0].clone();
    (dead.acknowledged, dead.in_spool, dead.discarded_batches) = (0, 0, 5);
    dead.discarded = BTreeMap::from([(Discard::DrainTimeout, 40)]);
    message.cursors[0].number = 2;
    message.cursors.insert(0, CursorTerms { number: 1, ..dead });
    message.read_from(1);
    assert_eq!(collected(&message, &stored()), [Hop::Bus]);
    message.read_from(2);
    assert_eq!(collected(&message, &stored()), []);
    let cursor = |message: &Message| cursor_of(message, StreamId(0), "kafka").map(|cursor| cursor.number);
    assert_eq!(cursor(&message), Some(2));
    message.read_from(0);
    assert_eq!(cursor(&message), Some(1), "of a message that does not say it, the first of the kind");
}

#[test]
fn each_collected_term_breaks_its_identity_and_names_the_hop() {
    type Change = fn(&mut StoredStream);
    let changes: [(Hop, Change); 6] = [
        (Hop::Bus, |s| s.duplicate_batches += 1),
        (Hop::Bus, |s| (s.arrived, s.handed, s.stored) = (35, 34, 34)),
        (Hop::Ingest, |s| s.refused += 1),
        (Hop::Ingest, |s| (s.handed, s.stored) = (34, 34)),
        (Hop::Store, |s| s.stored += 1),
        (Hop::Store, |s| s.removed += 1),
    ];
    for (hop, change) in changes {
        let mut stored = stored();
        change(&mut stored);
        assert_eq!(collected(&sound(), &stored), [hop]);
    }
}

#[test]
fn a_whole_stream_is_compared_by_packets_and_octets() {
    let mut message = sound();
    message.cursors[0].discarded.clear();
    let whole = StoredStream {
        arrived: 40,
        handed: 40,
        stored: 40,
        stored_amount: amount(800),
        ..StoredStream::default()
    };
    assert_eq!(collected(&message, &whole), []);
    let short = StoredStream { stored_amount: Amount { packets: 800, octets: 79_999 }, ..whole };
    assert_eq!(collected(&message, &short), [Hop::Store]);
}

#[test]
fn a_gap_is_a_loss_on_zmq_and_a_residual_on_kafka() {
    let mut message = sound();
    let cursor = &mut message.cursors[0];
    cursor.discarded.clear();
    cursor.discarded_batches = 0;
    let gap =
        StoredStream { missing_batches: 2, arrived: 30, handed: 30, stored: 30, ..StoredStream::default() };
    assert_eq!(collected(&message, &gap), [Hop::Bus]);
    message.cursors[0].guarantee = Guarantee::AtMostOnce;
    assert_eq!(collected(&message, &gap), []);
    assert_eq!(lost_on_bus(&message.cuts[0], Some(&message.cursors[0]), &gap), 10);
    // A loss that no gap explains, and a gap that lost nothing, are both wrong.
    assert_eq!(collected(&message, &StoredStream { missing_batches: 0, ..gap.clone() }), [Hop::Bus]);
    let full = StoredStream { arrived: 40, handed: 40, stored: 40, stored_amount: amount(800), ..gap };
    assert_eq!(collected(&message, &full), [Hop::Bus]);
}

#[test]
fn what_retention_removed_is_a_loss_within_its_gaps_and_hides_no_other() {
    let mut message = sound();
    message.cursors[0].discarded.clear();
    (message.cursors[0].discarded_batches, message.cursors[0].in_spool) = (0, 0);
    let expired = StoredStream {
        missing_batches: 2,
        expired_batches: 2,
        arrived: 30,
        handed: 30,
        stored: 30,
        ..StoredStream::default()
    };
    assert_eq!(collected(&message, &expired), []);
    assert_eq!(lost_on_bus(&message.cuts[0], Some(&message.cursors[0]), &expired), 10);
    // A third batch is missing that no retention explains, though its records would fit into the gaps.
    assert_eq!(collected(&message, &StoredStream { missing_batches: 3, ..expired.clone() }), [Hop::Bus]);
    // Two batches cannot have held one record.
    let one = StoredStream { arrived: 39, handed: 39, stored: 39, ..expired.clone() };
    assert_eq!(collected(&message, &one), [Hop::Bus]);
    // Of what expired the probe had discarded one batch before.
    message.cursors[0].discarded.insert(Discard::SpoolQuota, 4);
    message.cursors[0].discarded_batches = 1;
    assert_eq!(collected(&message, &StoredStream { arrived: 34, handed: 34, stored: 34, ..expired }), []);
}

#[test]
fn what_a_sink_held_may_have_been_discarded_since() {
    let mut message = sound();
    message.cursors[0].discarded.clear();
    message.cursors[0].discarded_batches = 0;
    message.cursors[0].in_spool = 10;
    let gap =
        StoredStream { missing_batches: 1, arrived: 30, handed: 30, stored: 30, ..StoredStream::default() };
    assert_eq!(collected(&message, &gap), []);
    assert_eq!(collected(&message, &StoredStream { arrived: 29, handed: 29, stored: 29, ..gap }), [Hop::Bus]);
}

#[test]
fn what_is_on_its_way_is_no_residual_yet() {
    let mut message = sound();
    message.cursors[0].discarded.clear();
    let awaited =
        StoredStream { awaited_batches: 2, arrived: 30, handed: 30, stored: 30, ..StoredStream::default() };
    assert_eq!(collected(&message, &awaited), []);
    assert_eq!(collected(&message, &StoredStream { awaited_batches: 0, ..awaited }), [Hop::Bus]);
}

#[test]
fn an_equation_reads_as_the_ledger_does() {
    let mut message = sound();
    message.queues[0].seen += Amount::one(60);
    message.queues[0].offered = None;
    let identities = of_probe(&message, None);
    assert_eq!(
        broken(&identities)[0].equation(),
        "seen 1051 = passed.filter 20 + passed.own 5 + shunted 50 + redirected 970 + refused.redirect_failed 5, \
         left over 1 packets, 60 octets"
    );
}
