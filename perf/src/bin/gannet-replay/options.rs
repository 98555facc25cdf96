//! What can be asked for on the command line, and what it makes.

use std::path::PathBuf;

use clap::Args;
use perf::traffic::{FrameSize, Impossible, Law, Looped, Mix, Model, Source, Transport, Transports};

/// A model of traffic.
#[derive(Args, Clone)]
pub(crate) struct What {
    /// Flows; each with its own addresses and ports, unless --mix.
    #[arg(long, default_value_t = 1000)]
    pub(crate) flows: u32,
    /// Packets of a flow; half of them from destination to source, unless --mix.
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
    /// Copies of a frame in a row [default: 64 by live frames, 1 by a packet socket].
    #[arg(long, conflicts_with = "mix")]
    pub(crate) burst: Option<u32>,
    #[command(flatten)]
    mixed: Mixed,
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

    /// The model's packets, `loops` times, `burst` copies in a row.
    pub(crate) fn source(&self, loops: u64, burst: u32) -> Result<Box<dyn Source>, Impossible> {
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
