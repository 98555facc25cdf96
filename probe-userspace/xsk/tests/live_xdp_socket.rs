//! AF_XDP sockets on veth in a network namespace. Needs root, and says so.
#![cfg(not(any(loom, miri)))]

mod support;

use std::os::fd::AsRawFd;
use std::time::Duration;

use support::capability;
use support::namespace::Namespace;
use support::program::Program;
use support::sender::Sender;
use support::{frame, number, wait_until};
use xsk::socket::{BusyPoll, Mode, Options};
use xsk::umem::{self, Books, FrameSize, Pages};
use xsk::{Burst, Interface, Packet, QueueId, Socket, Umem};

/// How long a packet may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// How long one poll() may sleep before its loop looks at its own limit.
const NAP: Duration = Duration::from_millis(100);

fn umem(frames: u32) -> Umem {
    Umem::new(&umem::Options { frames, frame_size: FrameSize::Four, headroom: 0, hugepages: false })
        .expect("UMEM")
}

fn ends() -> (Interface, Interface) {
    (Interface::by_name("in0").expect("in0"), Interface::by_name("out0").expect("out0"))
}

fn options(interface: &Interface, queue: u32) -> Options {
    Options { rx_slots: 1024, fill_slots: 2048, ..Options::receiver(interface, QueueId(queue)) }
}

/// A bound socket that is in slot 0 of a program on `interface`.
fn captured(interface: &Interface, umem: &Umem, options: &Options) -> (Socket, Program) {
    let program = Program::attach(interface.index(), 0);
    let socket = Socket::bind(umem, options).expect("bind");
    program.set(0, socket.as_raw_fd());
    (socket, program)
}

/// Receives until `count` packets came, recycling their frames; hands each to `see`.
fn receive(socket: &mut Socket, count: usize, mut see: impl FnMut(&Packet<'_>)) {
    let mut burst = socket.burst();
    let mut seen = 0;
    wait_until("packets", LIMIT, || {
        socket.wait(Some(NAP)).expect("poll");
        seen += receive_burst(socket, &mut burst, &mut see);
        seen >= count
    });
    assert_eq!(seen, count);
}

fn receive_burst(socket: &mut Socket, burst: &mut Burst, mut see: impl FnMut(&Packet<'_>)) -> usize {
    let received = socket.receive(burst);
    burst.iter().for_each(|packet| see(&packet));
    socket.give_back(burst);
    received
}

#[test]
fn copy_mode_receives_every_packet_in_order() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, outside) = ends();
        let umem = umem(2048);
        let (mut socket, _program) = captured(&inside, &umem, &options(&inside, 0));
        assert_eq!(socket.mode(), Mode::Copy);
        let refused: Vec<_> = socket.refused_modes().iter().map(|(mode, _)| *mode).collect();
        assert_eq!(refused, [Mode::ZeroCopy], "veth has none");
        assert!(socket.is_multi_buffer());
        assert_eq!(inside.mtu().expect("MTU"), 1500);
        let sender = Sender::new(&outside);
        let mut next = 0;
        for round in 0..20 {
            for index in 0..500 {
                sender.send(&frame(60 + index % 1_400, 0, (round * 500 + index) as u32));
            }
            receive(&mut socket, 500, |packet| {
                assert_eq!(packet.bytes(), frame(60 + next as usize % 500, 0, next));
                next += 1;
            });
        }
        let counters = socket.counters();
        assert_eq!((next, counters.packets, counters.bad_packets), (10_000, 10_000, 0));
        let statistics = socket.statistics().expect("statistics");
        assert_eq!((statistics.rx_dropped, statistics.rx_ring_full), (0, 0));
        assert_eq!(umem.books(), Books { free: 0, held: 0, lent: 2048 });
    });
}

#[test]
fn two_sockets_of_one_queue_share_its_frames_between_two_threads() {
    const PACKETS: u32 = 20_000;
    let namespace = Namespace::with_veth(1, 1500);
    namespace.run(|| {
        let (inside, outside) = ends();
        let umem = umem(2048);
        let program = Program::attach(inside.index(), 1);
        let sockets = [0, 1].map(|slot| {
            let socket = Socket::bind(&umem, &options(&inside, 0)).expect("bind");
            program.set(slot, socket.as_raw_fd());
            socket
        });
        assert_eq!(umem.books().lent, 2048, "the second socket shares the first one's fill ring");
        let sent = std::sync::atomic::AtomicBool::new(false);
        let totals = std::thread::scope(|scope| {
            let workers = sockets.map(|mut socket| {
                let sent = &sent;
                scope.spawn(move || drain_in_order(&mut socket, sent))
            });
            let sender = Sender::new(&outside);
            (0..PACKETS).for_each(|index| sender.send(&frame(60, (index % 2) as u8, index)));
            sent.store(true, std::sync::atomic::Ordering::Release);
            workers.map(|worker| worker.join().expect("worker"))
        });
        let received: u64 = totals.iter().map(|(received, _)| received).sum();
        let lost: u64 = totals.iter().map(|(_, lost)| lost).sum();
        assert_eq!(received + lost, u64::from(PACKETS), "received and counted as lost: {totals:?}");
        assert!(totals.iter().all(|(received, _)| *received > 0), "{totals:?}");
        let books = umem.books();
        assert_eq!((books.free + books.lent, books.held), (2048, 0));
    });
}

/// Receives until the sender has ended and nothing has come for a nap; packets received and packets the kernel counts as lost.
fn drain_in_order(socket: &mut Socket, sent: &std::sync::atomic::AtomicBool) -> (u64, u64) {
    let mut burst = socket.burst();
    let mut last = None;
    loop {
        let ended = sent.load(std::sync::atomic::Ordering::Acquire);
        let ready = socket.wait(Some(NAP)).expect("poll");
        receive_burst(socket, &mut burst, |packet| {
            assert!(last < Some(number(packet.bytes())), "out of order");
            last = Some(number(packet.bytes()));
        });
        if ended && !ready {
            let statistics = socket.statistics().expect("statistics");
            return (socket.counters().packets, statistics.rx_dropped + statistics.rx_ring_full);
        }
    }
}

#[test]
fn two_queues_of_one_umem_have_fill_rings_of_their_own() {
    const PACKETS: u32 = 1_000;
    Namespace::with_veth(2, 1500).run(|| {
        let (inside, outside) = ends();
        let umem = umem(4096);
        let program = Program::attach(inside.index(), 0);
        let mut sockets = [0, 1].map(|queue| {
            let socket = Socket::bind(&umem, &options(&inside, queue)).expect("bind");
            program.set(queue, socket.as_raw_fd());
            socket
        });
        assert_eq!(umem.books().lent, 4096, "each queue has its 2048 frames");
        assert_eq!(sockets[1].mode(), sockets[0].mode());
        assert_eq!(sockets[1].is_multi_buffer(), sockets[0].is_multi_buffer());
        let sender = Sender::new(&outside);
        (0..PACKETS).for_each(|index| sender.send(&support::udp((index % 250) as u8, false, index)));
        let mut seen = [0; 2];
        for (socket, seen) in sockets.iter_mut().zip(&mut seen) {
            let mut burst = socket.burst();
            while socket.wait(Some(NAP)).expect("poll") {
                *seen += receive_burst(socket, &mut burst, |_| {});
            }
        }
        assert!(seen[0] > 0 && seen[1] > 0, "the sender's flows spread over the queues: {seen:?}");
        assert_eq!(seen[0] + seen[1], PACKETS as usize);
        assert_eq!(umem.books(), Books { free: 0, held: 0, lent: 4096 });
    });
}

#[test]
fn a_packet_of_8_kb_comes_in_three_buffers() {
    Namespace::with_veth(1, 9000).run(|| {
        let (inside, outside) = ends();
        let umem = umem(2048);
        let (mut socket, _program) = captured(&inside, &umem, &options(&inside, 0));
        let sent = frame(8_014, 0, 1);
        Sender::new(&outside).send(&sent);
        Sender::new(&outside).send(&frame(64, 0, 2));
        let mut seen = Vec::new();
        receive(&mut socket, 2, |packet| {
            let buffers: Vec<_> = packet.buffers().map(<[u8]>::to_vec).collect();
            assert_eq!(packet.octets() as usize, buffers.iter().map(Vec::len).sum::<usize>());
            seen.push(buffers);
        });
        let room = umem.packet_room() as usize;
        assert_eq!(seen[0].iter().map(Vec::len).collect::<Vec<_>>(), [room, room, 8_014 - 2 * room]);
        assert_eq!(seen[0].concat(), sent);
        assert_eq!(seen[1], [frame(64, 0, 2)]);
        assert_eq!(umem.books(), Books { free: 0, held: 0, lent: 2048 });
    });
}

#[test]
fn without_multi_buffer_a_jumbo_frame_is_counted_as_dropped() {
    Namespace::with_veth(1, 9000).run(|| {
        let (inside, outside) = ends();
        let options = Options { multi_buffer: false, ..options(&inside, 0) };
        let (mut socket, _program) = captured(&inside, &umem(2048), &options);
        let sender = Sender::new(&outside);
        sender.send(&frame(8_014, 0, 1));
        sender.send(&frame(64, 0, 2));
        receive(&mut socket, 1, |packet| assert_eq!(number(packet.bytes()), 2));
        assert_eq!(socket.statistics().expect("statistics").rx_dropped, 1);
    });
}

#[test]
fn a_full_rx_ring_is_counted() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, outside) = ends();
        let options = Options { rx_slots: 64, ..options(&inside, 0) };
        let (mut socket, _program) = captured(&inside, &umem(2048), &options);
        let sender = Sender::new(&outside);
        (0..500).for_each(|index| sender.send(&frame(60, 0, index)));
        receive(&mut socket, 64, |_| {});
        let statistics = socket.statistics().expect("statistics");
        assert_eq!((statistics.rx_ring_full, statistics.rx_dropped), (500 - 64, 0));
    });
}

#[test]
fn an_empty_fill_ring_is_counted_and_recovers() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, outside) = ends();
        let (mut socket, _program) = captured(&inside, &umem(64), &options(&inside, 0));
        let sender = Sender::new(&outside);
        (0..100).for_each(|index| sender.send(&frame(60, 0, index)));
        receive(&mut socket, 64, |_| {});
        assert_eq!(socket.statistics().expect("statistics").rx_dropped, 100 - 64);
        (0..64).for_each(|index| sender.send(&frame(60, 0, index)));
        receive(&mut socket, 64, |_| {});
        assert_eq!(socket.statistics().expect("statistics").rx_dropped, 100 - 64);
    });
}

#[test]
fn a_busy_queue_is_refused_by_name_and_tried_again_until_it_is_free() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, _) = ends();
        let owner = Socket::bind(&umem(64), &options(&inside, 0)).expect("the first owner");
        let refused = Socket::bind(&umem(64), &Options { busy_retry: Duration::ZERO, ..options(&inside, 0) });
        let refused = refused.expect_err("a queue has one owner");
        assert_eq!(refused.errno(), Some(libc::EBUSY));
        assert!(refused.to_string().contains("interface in0 queue 0 (XDP_ZEROCOPY|"), "{refused}");
        let asker = format!("(pid {})", std::process::id());
        assert!(!refused.to_string().contains(&asker), "{refused}: whoever asks knows of its own sockets");
        std::thread::scope(|scope| {
            scope.spawn(move || drop(owner));
            Socket::bind(&umem(64), &Options { busy_retry: LIMIT, ..options(&inside, 0) })
                .expect("the next owner");
        });
    });
}

#[test]
fn a_failed_bind_gives_the_frames_back() {
    Namespace::with_veth(1, 1500).run(|| {
        let umem = umem(128);
        let (inside, _) = ends();
        let refused = Socket::bind(&umem, &options(&inside, 7)).expect_err("there is no queue 7");
        assert!(refused.to_string().contains("ethtool -l"), "{refused}");
        assert_eq!(umem.books(), Books { free: 128, held: 0, lent: 0 });
        Socket::bind(&umem, &options(&inside, 0)).expect("the UMEM is as good as new");
    });
}

#[test]
fn what_is_sent_arrives_and_its_frames_come_back() {
    const PACKETS: u32 = 3_000;
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, outside) = ends();
        let (mut receiver, _program) = captured(&inside, &umem(4096), &options(&inside, 0));
        let umem = umem(512);
        let sending =
            Options { tx_slots: 256, fill_slots: 64, completion_slots: 256, ..options(&outside, 0) };
        let mut sender = Socket::bind(&umem, &sending).expect("bind");
        let mut burst = receiver.burst();
        let (mut sent, mut seen) = (0, 0);
        wait_until("all sent packets", LIMIT, || {
            while sent < PACKETS && try_send(&mut sender, &frame(100, 0, sent)) {
                sent += 1;
            }
            sender.flush().expect("sendto");
            sender.take_sent();
            receive_burst(&mut receiver, &mut burst, |packet| {
                assert_eq!(packet.bytes(), frame(100, 0, seen));
                seen += 1;
            });
            seen == PACKETS
        });
        wait_until("all completions", LIMIT, || {
            sender.take_sent();
            umem.books().lent == 64
        });
        drop(sender);
        assert_eq!(umem.books(), Books { free: 512 - 64, held: 0, lent: 64 });
    });
}

/// False where no frame is free or the ring is full.
fn try_send(sender: &mut Socket, bytes: &[u8]) -> bool {
    let Some(mut frame) = sender.frame_to_send() else { return false };
    sender.umem().bytes_mut(&mut frame)[..bytes.len()].copy_from_slice(bytes);
    match sender.send(frame, bytes.len() as u32, false) {
        Ok(()) => true,
        Err(frame) => {
            sender.umem().free([frame]);
            false
        }
    }
}

#[test]
fn small_chunks_headroom_and_busy_polling_are_taken() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, outside) = ends();
        let umem = Umem::new(&umem::Options {
            frames: 256,
            frame_size: FrameSize::Two,
            headroom: 128,
            hugepages: false,
        })
        .expect("UMEM");
        let options = Options { busy_poll: Some(BusyPoll::default()), ..options(&inside, 0) };
        let (mut socket, _program) = captured(&inside, &umem, &options);
        assert!(socket.busy_poll_refused().is_none(), "{:?}", socket.busy_poll_refused());
        Sender::new(&outside).send(&frame(1_514, 0, 9));
        receive(&mut socket, 1, |packet| {
            assert_eq!(packet.bytes(), frame(1_514, 0, 9));
            let before = packet.metadata(128 + umem::XDP_HEADROOM).map(<[u8]>::len);
            assert_eq!(before, Some(384), "headroom is free before the packet");
            assert_eq!(packet.metadata(385), None, "and no more than that");
        });
        socket.kick_receive().expect("a busy poll");
    });
}

#[test]
fn hugepages_are_had_or_their_refusal_is_reported() {
    let umem =
        Umem::new(&umem::Options { frames: 512, hugepages: true, ..umem::Options::default() }).expect("UMEM");
    match umem.pages() {
        Pages::Huge => assert!(umem.hugepages_refused().is_none()),
        Pages::Ordinary => assert!(umem.hugepages_refused().is_some()),
    }
    let mut frame = umem.allocate_one().expect("a frame");
    umem.bytes_mut(&mut frame).fill(7);
    assert_eq!(umem.bytes(&frame), [7; 4096]);
    umem.free([frame]);
}

#[test]
fn a_refused_call_names_the_capability_or_the_limit() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, _) = ends();
        capability::limit_locked_memory(1 << 20);
        capability::drop_all_but(&[capability::NET_RAW, capability::NET_ADMIN]);
        let refused = Socket::bind(&umem(4096), &options(&inside, 0)).expect_err("16 MiB are over the limit");
        assert!(refused.to_string().contains("RLIMIT_MEMLOCK is 1024 KiB"), "{refused}");
        capability::drop_all_but(&[]);
        let refused = Socket::bind(&umem(16), &options(&inside, 0)).expect_err("no capability");
        assert_eq!(refused.errno(), Some(libc::EPERM));
        assert!(refused.to_string().contains("CAP_NET_RAW"), "{refused}");
    });
}

#[test]
fn a_bound_socket_needs_no_capability() {
    Namespace::with_veth(1, 1500).run(|| {
        let (inside, outside) = ends();
        let (mut socket, _program) = captured(&inside, &umem(64), &options(&inside, 0));
        let sender = Sender::new(&outside);
        capability::drop_all_but(&[]);
        for round in 0..4 {
            (0..40).for_each(|index| sender.send(&frame(60, 0, round * 40 + index)));
            receive(&mut socket, 40, |_| {});
        }
        assert_eq!(socket.statistics().expect("statistics").rx_dropped, 0);
    });
}
