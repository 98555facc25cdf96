//! A bare receive-and-recycle loop: what the kernel and this crate can do before anything is metered.
//!
//! `receive INTERFACE [poll|spin] [SECONDS]` takes queue 0 of the interface (whose packets are gone for the host meanwhile), counts what
//! comes, reads the first octets of each packet, and prints packets, losses and the CPU time that each packet took of this thread.
#![expect(unsafe_code, reason = "the thread's CPU clock")]

#[path = "../tests/support/program.rs"]
#[expect(dead_code, unreachable_pub, reason = "a module of the tests")]
mod program;

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use program::Program;
use xsk::socket::{Options, Statistics};
use xsk::umem;
use xsk::{Interface, QueueId, Socket, Umem};

/// How long one poll() may sleep, so that the end is noticed.
const NAP: Duration = Duration::from_millis(100);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("usage: receive INTERFACE [poll|spin] [SECONDS]")?;
    let spin = arguments.next().as_deref() == Some("spin");
    let seconds = arguments.next().map_or(Ok(10), |text| text.parse())?;

    let interface = Interface::by_name(&name)?;
    let umem = Umem::new(&umem::Options::default())?;
    let program = Program::attach(interface.index(), 0);
    let mut socket = Socket::bind(&umem, &Options::receiver(&interface, QueueId(0)))?;
    program.set(0, socket.as_raw_fd());
    println!("{name}: {} mode, {:?} pages", socket.mode().name(), umem.pages());

    let cpu = cpu_time();
    let seen = run(&mut socket, spin, Duration::from_secs(seconds))?;
    report(&seen, cpu_time() - cpu, &socket.statistics()?);
    Ok(())
}

/// What came, from the first packet to the last.
struct Seen {
    packets: u64,
    octets: u64,
    bursts: u64,
    /// So that the packets are really read.
    sum: u64,
    elapsed: Duration,
}

fn run(socket: &mut Socket, spin: bool, limit: Duration) -> std::io::Result<Seen> {
    let mut burst = socket.burst();
    let mut seen = Seen { packets: 0, octets: 0, bursts: 0, sum: 0, elapsed: Duration::ZERO };
    let (mut first, until) = (None, Instant::now() + limit);
    while Instant::now() < until {
        let received = socket.receive(&mut burst);
        if received == 0 {
            if !spin {
                socket.wait(Some(NAP))?;
            }
            continue;
        }
        for packet in burst.iter() {
            seen.octets += u64::from(packet.octets());
            seen.sum += packet.bytes().get(13).copied().map_or(0, u64::from);
        }
        socket.give_back(&mut burst);
        seen.packets += received as u64;
        seen.bursts += 1;
        let now = Instant::now();
        seen.elapsed = now - *first.get_or_insert(now);
    }
    Ok(seen)
}

fn report(seen: &Seen, cpu: Duration, statistics: &Statistics) {
    let packets = seen.packets.max(1) as f64;
    println!("packets {} octets {} (sum {})", seen.packets, seen.octets, seen.sum);
    println!(
        "{:.3} Mpps over {:.3} s",
        packets / seen.elapsed.as_secs_f64() / 1e6,
        seen.elapsed.as_secs_f64()
    );
    println!("{:.1} packets a burst", packets / seen.bursts.max(1) as f64);
    println!("{:.1} ns of this thread's CPU a packet", cpu.as_nanos() as f64 / packets);
    println!("{statistics:?}");
}

/// CLOCK_THREAD_CPUTIME_ID.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
