//! Where flows go to and come from, as ntop writes it: `kafka://192.168.2.225`, `zmq://127.0.0.1:1234`.
//!
//! | URL | meaning |
//! |---|---|
//! | `kafka://HOST[:PORT][,HOST[:PORT]..]` | brokers to begin with; port 9092 unless said |
//! | `kafka-ssl://..` | the same over TLS |
//! | `zmq://HOST:PORT` | the probe binds there, the collector connects |
//! | `zmq://HOST:PORTc` | the other way round: the collector binds (`*` = every address), the probe connects |
//! | `tcp://HOST:PORT[c]` | deprecated name of `zmq://` |
//!
//! An IPv6 address stands in brackets: `zmq://[::1]:1234`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Where a broker listens unless the URL says otherwise (contracts.md, IANA: none; Kafka's own default).
pub const KAFKA_PORT: u16 = 9092;

/// Brokers to begin with: more are no use, since the first that answers names all the others.
pub const BROKERS_MAX: usize = 32;

/// One end of a bus.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `kafka://` and `kafka-ssl://`
    Kafka(Kafka),
    /// `zmq://` and `tcp://`
    Zmq(Zmq),
}

/// Brokers of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kafka {
    /// At least one.
    pub brokers: Vec<Address>,
    /// `kafka-ssl://`
    pub tls: bool,
}

/// One socket of a probe, that collectors read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Zmq {
    /// Where; the host may be `*` for the side that binds.
    pub address: Address,
    /// Trailing `c`: the collector binds and the probe connects.
    pub collector_binds: bool,
    /// It was written `tcp://`, which still works and earns a warning.
    pub deprecated: bool,
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

/// What is wrong with a URL, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no `scheme://`.
    #[error("endpoint '{0}' has no scheme: write kafka://{0}, kafka-ssl://{0} or zmq://{0}")]
    NoScheme(String),
    /// Another scheme.
    #[error("endpoint '{url}' has the scheme '{scheme}': use kafka://, kafka-ssl:// or zmq://")]
    Scheme {
        /// As given.
        url: String,
        /// What stands before `://`.
        scheme: String,
    },
    /// A user or a password: not repeated here, for messages go into logs.
    #[error(
        "endpoint '..@{0}' has a user or a password in it, which everybody could read who lists processes: give them with --kafka-conf \
         @FILE, as sasl.username and sasl.password"
    )]
    Credentials(String),
    /// Nothing where a host should be.
    #[error("endpoint '{0}' names no host: write for example kafka://192.168.2.225 or zmq://127.0.0.1:1234")]
    NoHost(String),
    /// ZMQ has no port of its own.
    #[error("endpoint '{0}' names no port, and ZMQ has no default one: write for example {0}:5556")]
    NoPort(String),
    /// Not a number from 1 to 65535.
    #[error("endpoint '{url}': port '{port}' is not a number from 1 to 65535")]
    Port {
        /// As given.
        url: String,
        /// What stands where the port should.
        port: String,
    },
    /// A character that no host name has, or an IPv6 address without brackets.
    #[error(
        "endpoint '{url}': '{host}' is not a host name or address \
         (an IPv6 address stands in brackets: [::1]; a topic goes into --topic-prefix)"
    )]
    Host {
        /// As given.
        url: String,
        /// What stands where the host should.
        host: String,
    },
    /// ZMQ takes one address a URL.
    #[error("endpoint '{0}' lists several addresses: give --ntopng (or -i) once for each of them")]
    SeveralAddresses(String),
    /// A list beyond reason.
    #[error("endpoint '{url}' lists {count} brokers: {BROKERS_MAX} are enough, the first names all others")]
    TooManyBrokers {
        /// As given.
        url: String,
        /// How many.
        count: usize,
    },
}

impl Endpoint {
    /// The cluster that it is.
    pub fn kafka(&self) -> Option<&Kafka> {
        match self {
            Self::Kafka(kafka) => Some(kafka),
            Self::Zmq(_) => None,
        }
    }

    /// A sentence for the operator where the URL was written in a form that will go away.
    pub fn deprecation(&self) -> Option<String> {
        match self {
            Self::Zmq(zmq) if zmq.deprecated => {
                let (host, c) = (&zmq.address, suffix(zmq.collector_binds));
                Some(format!("tcp://{host}{c} is deprecated: write zmq://{host}{c}"))
            }
            _ => None,
        }
    }
}

impl Kafka {
    /// `bootstrap.servers`, as Kafka's clients write it.
    pub fn bootstrap_servers(&self) -> String {
        self.brokers.iter().map(Address::to_string).collect::<Vec<_>>().join(",")
    }
}

impl Zmq {
    /// The address as libzmq writes it.
    pub fn transport(&self) -> String {
        format!("tcp://{}", self.address)
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        if let Some((_, behind)) = url.rsplit_once('@') {
            return Err(Error::Credentials(behind.to_owned()));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(Error::NoScheme(url.to_owned()));
        };
        match scheme {
            "kafka" => kafka(url, rest, false),
            "kafka-ssl" => kafka(url, rest, true),
            "zmq" => zmq(url, rest, false),
            "tcp" => zmq(url, rest, true),
            _ => Err(Error::Scheme { url: url.to_owned(), scheme: scheme.to_owned() }),
        }
    }
}

fn kafka(url: &str, rest: &str, tls: bool) -> Result<Endpoint, Error> {
    let count = rest.split(',').count();
    if count > BROKERS_MAX {
        return Err(Error::TooManyBrokers { url: url.to_owned(), count });
    }
    let broker = |text| {
        let (host, port) = split(url, text)?;
        let port = port.map_or(Ok(KAFKA_PORT), |port| number(url, port))?;
        Ok(Address { host: named(url, host)?, port })
    };
    Ok(Endpoint::Kafka(Kafka { brokers: rest.split(',').map(broker).collect::<Result<_, _>>()?, tls }))
}

fn zmq(url: &str, rest: &str, deprecated: bool) -> Result<Endpoint, Error> {
    if rest.contains(',') {
        return Err(Error::SeveralAddresses(url.to_owned()));
    }
    let (host, port) = split(url, rest)?;
    let port = port.ok_or_else(|| Error::NoPort(url.to_owned()))?;
    let (port, collector_binds) = port.strip_suffix('c').map_or((port, false), |port| (port, true));
    let host = if host == "*" { host.to_owned() } else { named(url, host)? };
    let address = Address { host, port: number(url, port)? };
    Ok(Endpoint::Zmq(Zmq { address, collector_binds, deprecated }))
}

/// Host and port as text; an IPv6 address loses its brackets here.
fn split<'a>(url: &str, text: &'a str) -> Result<(&'a str, Option<&'a str>), Error> {
    let wrong = || Error::Host { url: url.to_owned(), host: text.to_owned() };
    if let Some(inside) = text.strip_prefix('[') {
        let (host, behind) = inside.split_once(']').ok_or_else(wrong)?;
        host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
        return match behind.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if behind.is_empty() => Ok((host, None)),
            None => Err(wrong()),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(wrong()),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

/// A host that holds no character which would change the meaning of what is built from it.
fn named(url: &str, host: &str) -> Result<String, Error> {
    if host.is_empty() {
        return Err(Error::NoHost(url.to_owned()));
    }
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if !host.chars().all(sound) {
        return Err(Error::Host { url: url.to_owned(), host: host.to_owned() });
    }
    Ok(host.to_owned())
}

fn number(url: &str, port: &str) -> Result<u16, Error> {
    let wrong = || Error::Port { url: url.to_owned(), port: port.to_owned() };
    // `parse` would take "+1".
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    port.parse::<u16>().ok().filter(|&port| port != 0).ok_or_else(wrong)
}

fn suffix(collector_binds: bool) -> &'static str {
    if collector_binds { "c" } else { "" }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Canonical: always with its port, never deprecated. It holds no secret.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka(kafka) => {
                let scheme = if kafka.tls { "kafka-ssl" } else { "kafka" };
                write!(f, "{scheme}://{}", kafka.bootstrap_servers())
            }
            Self::Zmq(zmq) => write!(f, "zmq://{}{}", zmq.address, suffix(zmq.collector_binds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(url: &str) -> String {
        url.parse::<Endpoint>().unwrap().to_string()
    }

    fn refused(url: &str) -> Error {
        url.parse::<Endpoint>().unwrap_err()
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for url in [
            "kafka://me:secret@broker",
            "kafka:me:secret@broker",
            "me:secret@broker:9092",
            "me:secret@kafka://broker",
        ] {
            let said = refused(url).to_string();
            assert!(said.contains("@broker") || said.contains("@kafka://broker"), "{said}");
            assert!(!said.contains("secret") && said.contains("--kafka-conf @FILE"), "{said}");
        }
    }

    #[test]
    fn kafka_brokers_get_the_default_port() {
        assert_eq!(canonical("kafka://192.168.2.225"), "kafka://192.168.2.225:9092");
        assert_eq!(canonical("kafka-ssl://a:1,b,[::1]:9"), "kafka-ssl://a:1,b:9092,[::1]:9");
    }

    #[test]
    fn zmq_is_bound_by_the_probe_unless_c_follows() {
        let Endpoint::Zmq(plain) = "zmq://127.0.0.1:1234".parse().unwrap() else { panic!() };
        let Endpoint::Zmq(swapped) = "zmq://*:1234c".parse().unwrap() else { panic!() };
        assert!(!plain.collector_binds && swapped.collector_binds);
        assert_eq!(plain.transport(), "tcp://127.0.0.1:1234");
        assert_eq!(swapped.transport(), "tcp://*:1234");
    }

    #[test]
    fn tcp_is_zmq_with_a_warning() {
        let endpoint: Endpoint = "tcp://[::1]:5556c".parse().unwrap();
        assert_eq!(endpoint.to_string(), "zmq://[::1]:5556c");
        assert!(endpoint.deprecation().unwrap().contains("write zmq://[::1]:5556c"));
        assert_eq!("zmq://a:1".parse::<Endpoint>().unwrap().deprecation(), None);
    }

    #[test]
    fn refusals_name_the_value_and_the_mend() {
        assert_eq!(refused("10.0.0.1").to_string().matches("kafka://10.0.0.1").count(), 1);
        assert!(matches!(refused("http://a"), Error::Scheme { .. }));
        assert!(matches!(refused("kafka://"), Error::NoHost(_)));
        assert!(matches!(refused("kafka://a,,b"), Error::NoHost(_)));
        assert!(matches!(refused("zmq://a"), Error::NoPort(_)));
        assert!(matches!(refused("zmq://a:1,b:2"), Error::SeveralAddresses(_)));
        assert!(matches!(refused("kafka://a:0"), Error::Port { .. }));
        assert!(matches!(refused("kafka://a:+1"), Error::Port { .. }));
        assert!(matches!(refused("kafka://a:70000"), Error::Port { .. }));
        assert!(matches!(refused("kafka://a;topic"), Error::Host { .. }));
        assert!(matches!(refused("kafka://::1"), Error::Host { .. }));
        assert!(matches!(refused("kafka://[::1"), Error::Host { .. }));
        assert!(matches!(refused("kafka://[zz]:1"), Error::Host { .. }));
        assert!(matches!(refused(&format!("kafka://{}a", "a,".repeat(40))), Error::TooManyBrokers { .. }));
    }
}
