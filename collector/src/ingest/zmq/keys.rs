//! Keys of an encrypted input: our own pair, and the public keys of the probes.

use std::path::{Path, PathBuf};

use flow_wire::curve::{self, Key, Made, Pair};

/// Keys for all inputs.
#[derive(Debug)]
pub struct Keys {
    own: Pair,
    /// For people: what the probe's list of clients must hold.
    public: PathBuf,
    /// Of the endpoint with this name; `None` = of any.
    probes: Vec<(Option<String>, Key)>,
    file: PathBuf,
}

/// Why an input cannot be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file, or libzmq.
    #[error("--zmq-encryption: {0}")]
    Curve(#[from] curve::Error),
    /// None is for this probe.
    #[error(
        "--zmq-encryption-key {file}: it has no key for {endpoint}; add a line '{endpoint} KEY' with the zmq-key.pub of that \
         probe, or a line with the key alone that holds for all"
    )]
    None {
        /// The file.
        file: PathBuf,
        /// The input.
        endpoint: String,
    },
}

impl Keys {
    /// Reads the probes' keys, and our own, which are made in the store's directory where there are none.
    ///
    /// # Errors
    /// libzmq has no CURVE, or a file is not what it should be.
    pub fn read(directory: &Path, file: &Path) -> Result<Self, KeysError> {
        if zmq::has("curve") != Some(true) {
            return Err(curve::Error::NoCurve("it has no CURVE".to_owned()).into());
        }
        let mut probes = Vec::new();
        for (number, line) in curve::lines(file)? {
            let (endpoint, text) = match line.rsplit_once(char::is_whitespace) {
                Some((endpoint, text)) => (Some(endpoint.trim().to_owned()), text),
                None => (None, line.as_str()),
            };
            probes.push((endpoint, curve::key(file, number, text)?));
        }
        if probes.is_empty() {
            return Err(curve::Error::Empty { path: file.to_owned() }.into());
        }
        let (own, _) = Pair::in_directory(directory, curve::COLLECTOR_STEM, make)?;
        let public = directory.join(curve::COLLECTOR_STEM).with_extension("pub");
        tracing::info!(public = %public.display(), "encryption: a probe with a list of clients needs our public key");
        Ok(Self { own, public, probes, file: file.to_owned() })
    }

    /// Those for one input.
    ///
    /// # Errors
    /// The file has none for it.
    pub fn of(&self, endpoint: &str) -> Result<Curve, KeysError> {
        let named = self.probes.iter().find(|(name, _)| name.as_deref() == Some(endpoint));
        let any = || self.probes.iter().find(|(name, _)| name.is_none());
        let none = || KeysError::None { file: self.file.clone(), endpoint: endpoint.to_owned() };
        let (_, probe) = named.or_else(any).ok_or_else(none)?;
        Ok(Curve { own: self.own.clone(), public: self.public.clone(), probe: probe.clone() })
    }
}

/// For one input.
#[derive(Clone, Debug)]
pub struct Curve {
    own: Pair,
    pub(super) public: PathBuf,
    probe: Key,
}

impl Curve {
    /// Makes a socket that is not connected yet a CURVE client; the probe is the server, whichever side binds.
    pub(super) fn set(&self, socket: &zmq::Socket) -> Result<(), zmq::Error> {
        let octets = |key: &str| zmq::z85_decode(key).map_err(|_| zmq::Error::EINVAL);
        socket.set_curve_serverkey(&octets(self.probe.as_str())?)?;
        socket.set_curve_publickey(&octets(self.own.public.as_str())?)?;
        socket.set_curve_secretkey(&octets(self.own.secret.expose())?)
    }
}

fn make() -> Made {
    let pair = zmq::CurveKeyPair::new().map_err(|error| error.to_string())?;
    let text = |key: &[u8]| zmq::z85_encode(key).map_err(|error| error.to_string());
    Ok((text(&pair.public_key)?, text(&pair.secret_key)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_probe_can_have_its_own_key() {
        let directory = tempfile::tempdir().unwrap();
        let (file, (one, other)) = (directory.path().join("keys"), (make().unwrap().0, make().unwrap().0));
        std::fs::write(&file, format!("# probes\nzmq://a:1 {one} # rack 7\n")).unwrap();
        let keys = Keys::read(directory.path(), &file).unwrap();
        assert_eq!(keys.of("zmq://a:1").unwrap().probe.as_str(), one);
        assert!(keys.of("zmq://b:1").unwrap_err().to_string().contains("no key for zmq://b:1"));
        std::fs::write(&file, format!("{other}\nzmq://a:1 {one}\n")).unwrap();
        let keys = Keys::read(directory.path(), &file).unwrap();
        assert_eq!(keys.of("zmq://a:1").unwrap().probe.as_str(), one);
        assert_eq!(keys.of("zmq://b:1").unwrap().probe.as_str(), other);
        std::fs::write(&file, "zmq://a:1 short\n").unwrap();
        assert!(Keys::read(directory.path(), &file).unwrap_err().to_string().contains("line 1"));
    }
}
