//! What can be asked for on the command line, and what it makes.

use std::path::PathBuf;

use clap::Args;
use perf::kernel::bpf::{CALL_MAX, COPIES_IN_ORDER};
use perf::kernel::vary::Vary;
use perf::replay::By;
use perf::traffic::{FrameSize, Herd, Impossible, Law, Looped, Mix, Model, Source, Transport, Transports};

/// A model of traffic.
#[derive(Args, Clone)]
pub(crate) struct What {
    /// Flows; each with its own addresses and ports, unless --mix. With --elephants the small ones that there are at once.
    #[arg(long, default_value_t = 1000)]
    pub(crate) flows: u32,
    /// Packets of a flow; half of them from destination to source, unless --mix. With --elephants of a small one, all one way.
    #[arg(long, default_value_t = 10)]
    packets_per_flow: u32,
    /// Octets of a frame, without FCS; with --mix of one with data, and also imix (7:4:1 of 60, 590, 1514).
    #[arg(long, default_value = "60", value_name = "OCTETS|imix")]
    pub(crate) frame_size: FrameSize,
    /// IPv6 instead of IPv4 (frames of at least 62 octets, for TCP 74).
    #[arg(long, conflicts_with = "mix")]
    ipv6: bool,
    /// Transport protocol.
    #[arg(long, value_enum, default_value = "udp", conflicts_with = "mix")]
    transport: Transport,
    /// VLAN tag of every frame.
    #[arg(long)]
    vlan: Option<u16>,
    /// Other keys by another seed; the same seed gives the same octets.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// No packets from destination to source.
    #[arg(long, conflicts_with = "mix")]
    one_way: bool,
    /// Where to write the truth: per key, packets and octets that arrived, a JSON line each.
    #[arg(long)]
    pub(crate) truth: Option<PathBuf>,
    /// Send all of it so many times, of a mix each time other flows [default: 1; without end when --seconds or --count bounds it].
    #[arg(long)]
    pub(crate) loops: Option<u64>,
    /// Copies of a frame in a row [default: 64 by live frames, 1 by a packet socket]. With --elephants copies of one call, each of the next
    /// flow [default: 16384; 16 with --truth, and no more: of a longer call it is not known which packets arrived].
    #[arg(long, conflicts_with = "mix")]
    pub(crate) burst: Option<u32>,
    #[command(flatten)]
    elephants: Elephants,
    #[command(flatten)]
    mixed: Mixed,
}

/// Few large flows among many small ones.
#[derive(Args, Clone)]
#[command(next_help_heading = "Elephants")]
struct Elephants {
    /// So many flows have --elephant-share of the packets, from the first to the last; the others are of small flows, --flows at once, which end
    /// after --packets-per-flow and make room for new ones. UDP over IPv4, one way; by live frames flat out, for the kernel makes the flows.
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["mix", "ipv6", "transport", "vlan"])]
    elephants: Option<u32>,
    /// Packets of the elephants, of all, in tenths of a percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 90.0, requires = "elephants")]
    elephant_share: f64,
}

/// Parameters of a mix.
#[derive(Args, Clone)]
#[command(next_help_heading = "Traffic mix")]
struct Mixed {
    /// Flows as a link carries them, not all alike: sizes with a heavy tail, TCP with handshakes and ends, hosts by popularity.
    #[arg(long)]
    mix: bool,
    /// How many packets the flows have.
    #[arg(long, value_enum, default_value = "pareto", requires = "mix")]
    sizes: Law,
    /// Exponent of pareto (1.1: 27 % of the flows have one packet, 96 % fewer than 64) or zipf.
    #[arg(long, default_value_t = 1.1, requires = "mix")]
    alpha: f64,
    /// Most packets of a flow, by pareto or zipf (for which it is at most 1048576).
    #[arg(long, default_value_t = 1_000_000, requires = "mix")]
    packets_max: u32,
    /// Shares of the flows, by transport.
    #[arg(long, default_value = "tcp=80,udp=18,icmp=2", value_name = "tcp=N,udp=N,icmp=N", requires = "mix")]
    transports: Transports,
    /// Of TCP flows, percent that end by RST instead of FIN.
    #[arg(long, default_value_t = 5.0, value_name = "PERCENT", requires = "mix")]
    resets: f64,
    /// Hosts that begin flows; number n is 1/n as active as the first.
    #[arg(long, default_value_t = 65_536, requires = "mix")]
    clients: u32,
    /// Hosts that are asked; number n is 1/n as popular as the first.
    #[arg(long, default_value_t = 16_384, requires = "mix")]
    servers: u32,
    /// Median duration of a flow (log-normal; at least 20 us a packet, at most about an hour).
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", requires = "mix")]
    duration: f64,
    /// Standard deviation of the natural logarithm of durations.
    #[arg(long, default_value_t = 1.5, requires = "mix")]
    duration_sigma: f64,
    /// Flows that begin in a second, on average.
    #[arg(long, default_value_t = 10_000.0, requires = "mix")]
    flows_per_second: f64,
    /// Packets of a flow, and flows, that come back to back on average: 1 = each by itself (Poisson).
    #[arg(long, default_value_t = 1.0, requires = "mix")]
    burstiness: f64,
    /// Percent of the flows that are IPv6.
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT", requires = "mix")]
    ipv6_share: f64,
}

impl What {
    /// Whether the model has times of its own.
    pub(crate) fn is_mix(&self) -> bool {
        self.mixed.mix
    }

    /// Copies of a frame in a row.
    pub(crate) fn burst(&self, by: By) -> u32 {
        let usual = match (self.elephants.elephants, &self.truth) {
            (None, _) => by.usual_burst(),
            (Some(_), None) => CALL_MAX,
            (Some(_), Some(_)) => COPIES_IN_ORDER,
        };
        self.burst.unwrap_or(usual)
    }

    /// What the kernel makes different in the copies of a frame.
    pub(crate) fn vary(&self) -> Result<Option<Vary>, Impossible> {
        self.herd()?.map(|herd| herd.addresses().map(Vary::SourceAddresses)).transpose()
    }

    fn herd(&self) -> Result<Option<Herd>, Impossible> {
        let Some(elephants) = self.elephants.elephants else { return Ok(None) };
        let FrameSize::Fixed(frame_octets) = self.frame_size else { return Err(Impossible::OnlyMix) };
        let (flows, packets_per_flow, seed) = (self.flows, self.packets_per_flow, self.seed);
        let share_percent = self.elephants.elephant_share;
        Ok(Some(Herd { elephants, share_percent, flows, packets_per_flow, frame_octets, seed }))
    }

    /// The model's packets, `loops` times, onto a device or into a file (`None`).
    pub(crate) fn source(&self, loops: u64, by: Option<By>) -> Result<Box<dyn Source>, Impossible> {
        if let Some(herd) = self.herd()? {
            let burst = by.filter(|by| *by == By::LiveFrames).map(|by| self.burst(by));
            return Ok(Box::new(herd.source(burst, loops, self.truth.is_some())?));
        }
        let burst = by.map_or(self.burst.unwrap_or(1), |by| self.burst(by));
        if self.mixed.mix {
            return Ok(Box::new(self.mix().stream(loops, self.truth.is_some())?));
        }
        let model = self.model()?;
        Ok(Box::new(Looped::new(model.traffic()?, burst, loops).with_truth(model)))
    }

    fn model(&self) -> Result<Model, Impossible> {
        let FrameSize::Fixed(frame_octets) = self.frame_size else { return Err(Impossible::OnlyMix) };
        Ok(Model {
            flows: self.flows,
            packets_per_flow: self.packets_per_flow,
            frame_octets,
            ipv6: self.ipv6,
            transport: self.transport,
            vlan: self.vlan,
            seed: self.seed,
            one_way: self.one_way,
        })
    }

    fn mix(&self) -> Mix {
        let mixed = &self.mixed;
        Mix {
            flows: self.flows,
            sizes: mixed.sizes,
            alpha: mixed.alpha,
            packets_max: mixed.packets_max,
            packets_per_flow: self.packets_per_flow,
            transports: mixed.transports,
            resets_percent: mixed.resets,
            clients: mixed.clients,
            servers: mixed.servers,
            duration_seconds: mixed.duration,
            duration_sigma: mixed.duration_sigma,
            flows_per_second: mixed.flows_per_second,
            burstiness: mixed.burstiness,
            frame_size: self.frame_size,
            ipv6_percent: mixed.ipv6_share,
            vlan: self.vlan,
            seed: self.seed,
        }
    }
}
