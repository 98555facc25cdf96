//! AF_XDP sockets on veth in a network namespace. Needs root, and says so.

mod support;

use std::os::fd::AsRawFd;
use std::time::Duration;

use support::namespace::Namespace;
use support::program::Program;
use support::sender::Sender;
use support::{frame, number, wait_until};
use xsk::socket::{Mode, Options};
use xsk::umem::{self, FrameSize};
use xsk::{Interface, QueueId, Socket, Umem};

/// How long a packet may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

fn umem(frames: u32) -> Umem {
    Umem::new(&umem::Options { frames, frame_size: FrameSize::Four, headroom: 0, hugepages: false })
        .expect("UMEM")
}

fn options(interface: &Interface, queue: u32) -> Options {
    Options { rx_slots: 1024, fill_slots: 2048, ..Options::receiver(interface, QueueId(queue)) }
}

/// Receives until `count` packets came, recycling their frames; hands each to `see`.
fn receive(socket: &mut Socket, count: usize, mut see: impl FnMut(&xsk::Packet<'_>)) {
    let mut burst = socket.burst();
    let mut seen = 0;
    wait_until("packets", LIMIT, || {
        socket.wait(Some(Duration::from_millis(100))).expect("poll");
        seen += socket.receive(&mut burst);
        burst.iter().for_each(|packet| see(&packet));
        socket.give_back(&mut burst);
        seen >= count
    });
    assert_eq!(seen, count);
}

#[test]
fn copy_mode_receives_every_packet_in_order() {
    let namespace = Namespace::with_veth(1, 1500);
    namespace.run(|| {
        let (a, b) = (Interface::by_name("in0").expect("in0"), Interface::by_name("out0").expect("out0"));
        let umem = umem(2048);
        let program = Program::attach(a.index(), 0);
        let mut socket = Socket::bind(&umem, &options(&a, 0)).expect("bind");
        assert_eq!(socket.mode(), Mode::Copy);
        assert_eq!(socket.refused_modes().len(), 1, "veth has no zero-copy mode");
        program.set(0, socket.as_raw_fd());
        let sender = Sender::new(&b);
        let mut next = 0;
        for round in 0..20 {
            for index in 0..500 {
                sender.send(&frame(60 + index % 1400, 0, (round * 500 + index) as u32));
            }
            receive(&mut socket, 500, |packet| {
                assert_eq!(packet.bytes(), frame(60 + (next % 500) as usize % 1400, 0, next));
                assert_eq!(number(packet.bytes()), next);
                next += 1;
            });
        }
        assert_eq!(next, 10_000);
        assert_eq!(socket.counters().packets, 10_000);
        assert_eq!(socket.counters().bad_packets, 0);
        let statistics = socket.statistics().expect("statistics");
        assert_eq!((statistics.rx_dropped, statistics.rx_ring_full), (0, 0));
        assert_eq!(umem.books(), umem::Books { free: 0, held: 0, lent: 2048 });
    });
}
