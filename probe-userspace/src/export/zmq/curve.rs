//! Encryption: the probe is the CURVE server of its socket, whichever side binds. A collector needs its public key to
//! connect, and where there is a list of clients its own key must be on it (ZeroMQ RFC 27/ZAP). Towards ntopng, which wants to be the server itself,
//! the probe is a client with a key pair of this run, and ntopng's public key is what it needs; our collectors cannot read such an output.
//!
//! ```text
//! peer's handshake ─► libzmq ─► inproc://zeromq.zap.01 ─► Gate: on the list? ─► 200 / 400 ─► libzmq ─► peer
//! ```

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use flow_wire::curve::{self, Key, Made, Pair};

/// Where libzmq asks.
const ZAP_ENDPOINT: &str = "inproc://zeromq.zap.01";

/// Frames of a question: version, request, domain, address, identity, mechanism, client key.
const ZAP_FRAMES: usize = 7;

/// Questions answered in a row: each is a handshake of a peer.
const ZAP_TURN: usize = 64;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where the key pair is kept, and made if it is not there.
    pub state_dir: PathBuf,
    /// Another file with the secret key.
    pub key: Option<PathBuf>,
    /// The reader is the server, and this is its public key; `None` = the probe is.
    pub reader: Option<ReaderKey>,
    /// List of the clients that may connect; `None` = whoever has our public key.
    pub clients: Option<PathBuf>,
}

/// Where the public key of a reader is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReaderKey {
    /// Here: it is no secret.
    Text(Key),
    /// In a file, as ntopng writes it.
    File(PathBuf),
}

impl ReaderKey {
    fn read(&self) -> Result<Key, curve::Error> {
        match self {
            Self::Text(key) => Ok(key.clone()),
            Self::File(path) => curve::keys(path)?
                .into_iter()
                .next()
                .ok_or_else(|| curve::Error::Empty { path: path.clone() }),
        }
    }
}

/// Keys, read.
#[derive(Debug)]
pub enum Curve {
    /// We have a pair that lasts.
    Server {
        /// It.
        pair: Pair,
        /// Who may connect; `None` = anybody.
        clients: Option<HashSet<Key>>,
    },
    /// The reader has.
    Client {
        /// Its public key.
        server: Key,
        /// Ours, of this run.
        own: Pair,
    },
}

impl Plan {
    /// Reads the keys; makes a pair where the state directory has none.
    ///
    /// # Errors
    /// libzmq has no CURVE, or a file is not what it should be.
    pub fn read(&self) -> Result<Curve, curve::Error> {
        if ::zmq::has("curve") != Some(true) {
            return Err(curve::Error::NoCurve("it has no CURVE".to_owned()));
        }
        if let Some(reader) = &self.reader {
            tracing::info!(
                "encryption: the reader is the CURVE server, as ntopng is; gannet-collector cannot read this output"
            );
            return Ok(Curve::Client { server: reader.read()?, own: Pair::of_this_run(make)? });
        }
        let pair = match &self.key {
            Some(path) => Pair::read(path)?,
            None => self.own()?,
        };
        let clients = self.clients.as_deref().map(clients).transpose()?;
        Ok(Curve::Server { pair, clients })
    }

    /// Whether the files that were named can be read; nothing is made.
    ///
    /// # Errors
    /// A file is not what it should be.
    pub fn check(&self) -> Result<(), curve::Error> {
        self.key.as_deref().map(Pair::read).transpose()?;
        self.reader.as_ref().map(ReaderKey::read).transpose()?;
        self.clients.as_deref().map(clients).transpose()?;
        Ok(())
    }

    fn own(&self) -> Result<Pair, curve::Error> {
        let (pair, is_new) = Pair::in_directory(&self.state_dir, curve::PROBE_STEM, make)?;
        let path = self.state_dir.join(curve::PROBE_STEM).with_extension("pub");
        let what = if is_new { "a key pair was made" } else { "the key pair is that of the state directory" };
        tracing::info!(public = %path.display(), "encryption: {what}; collectors need the public key");
        Ok(pair)
    }
}

fn clients(path: &Path) -> Result<HashSet<Key>, curve::Error> {
    Ok(curve::keys(path)?.into_iter().collect())
}

fn make() -> Made {
    let pair = ::zmq::CurveKeyPair::new().map_err(|error| error.to_string())?;
    let text = |key: &[u8]| ::zmq::z85_encode(key).map_err(|error| error.to_string());
    Ok((text(&pair.public_key)?, text(&pair.secret_key)?))
}

impl Curve {
    /// Makes a socket that is not bound yet a CURVE server, or a client. The 40 characters are libzmq's own form of a key.
    pub(super) fn set(&self, socket: &::zmq::Socket) -> Result<(), ::zmq::Error> {
        let octets = |key: &str| ::zmq::z85_decode(key).map_err(|_| ::zmq::Error::EINVAL);
        match self {
            Self::Server { pair, .. } => {
                socket.set_curve_server(true)?;
                socket.set_curve_publickey(&octets(pair.public.as_str())?)?;
                socket.set_curve_secretkey(&octets(pair.secret.expose())?)
            }
            Self::Client { server, own } => {
                socket.set_curve_serverkey(&octets(server.as_str())?)?;
                socket.set_curve_publickey(&octets(own.public.as_str())?)?;
                socket.set_curve_secretkey(&octets(own.secret.expose())?)
            }
        }
    }

    /// Who answers for the list, in the context of the socket and before it is bound. `None` = there is no list.
    pub(super) fn gate(&self, context: &::zmq::Context) -> Result<Option<Gate>, ::zmq::Error> {
        let Self::Server { clients: Some(clients), .. } = self else { return Ok(None) };
        let socket = context.socket(::zmq::ROUTER)?;
        socket.set_linger(0)?;
        socket.bind(ZAP_ENDPOINT)?;
        Ok(Some(Gate { socket, clients: clients.clone(), refused: 0 }))
    }
}

/// Lets in who is on the list.
pub(super) struct Gate {
    socket: ::zmq::Socket,
    clients: HashSet<Key>,
    refused: u64,
}

impl Gate {
    /// Answers what libzmq asked since the last time; says how many were refused since then.
    pub(super) fn answer(&mut self) -> u64 {
        let before = self.refused;
        for _ in 0..ZAP_TURN {
            let Ok(frames) = self.socket.recv_multipart(::zmq::DONTWAIT) else { break };
            if let Some(answer) = self.judge(&frames)
                && self.socket.send_multipart(answer, ::zmq::DONTWAIT).is_err()
            {
                // libzmq gave the handshake up meanwhile: there is nobody to answer.
                continue;
            }
        }
        self.refused - before
    }

    /// The envelope of the asking session, an empty frame, and behind it question and answer.
    fn judge(&mut self, frames: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let at = frames.iter().position(Vec::is_empty)? + 1;
        let (envelope, question) = frames.split_at(at);
        if question.len() != ZAP_FRAMES {
            return None;
        }
        let is_known = question[5] == b"CURVE" && self.has(&question[6]);
        self.refused += u64::from(!is_known);
        let (code, text): (&[u8], &[u8]) =
            if is_known { (b"200", b"OK") } else { (b"400", b"this client key is not on the list") };
        let mut answer = envelope.to_vec();
        let said: [&[u8]; 6] = [b"1.0", &question[1], code, text, b"", b""];
        answer.extend(said.into_iter().map(<[u8]>::to_vec));
        Some(answer)
    }

    fn has(&self, key: &[u8]) -> bool {
        let key = ::zmq::z85_encode(key).ok().and_then(|text| text.parse::<Key>().ok());
        key.is_some_and(|key| self.clients.contains(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> (Key, Vec<u8>) {
        let pair = ::zmq::CurveKeyPair::new().unwrap();
        (::zmq::z85_encode(&pair.public_key).unwrap().parse().unwrap(), pair.public_key.to_vec())
    }

    fn question(mechanism: &[u8], key: &[u8]) -> Vec<Vec<u8>> {
        let frames: [&[u8]; 9] = [b"peer", b"", b"1.0", b"7", b"", b"10.0.0.1", b"", mechanism, key];
        frames.into_iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn who_is_on_the_list_gets_in_and_nobody_else() {
        let ((known, octets), (_, other)) = (text(), text());
        let curve = Curve::Server {
            pair: Pair::in_directory(tempfile::tempdir().unwrap().path(), curve::PROBE_STEM, make).unwrap().0,
            clients: Some(HashSet::from([known])),
        };
        let mut gate = curve.gate(&::zmq::Context::new()).unwrap().unwrap();
        let mut code = |frames: &[Vec<u8>]| gate.judge(frames).map(|answer| answer[4].clone());
        assert_eq!(code(&question(b"CURVE", &octets)), Some(b"200".to_vec()));
        assert_eq!(code(&question(b"CURVE", &other)), Some(b"400".to_vec()));
        assert_eq!(code(&question(b"PLAIN", &octets)), Some(b"400".to_vec()));
        assert_eq!(code(&question(b"CURVE", b"short")), Some(b"400".to_vec()));
        assert_eq!(code(&question(b"CURVE", &octets)[..5]), None);
        assert_eq!(code(&[]), None);
    }
}
