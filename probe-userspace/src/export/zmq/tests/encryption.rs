//! CURVE between real sockets: who has the key reads and acknowledges, and who has not gets nothing.

use std::path::{Path, PathBuf};

use super::store::{Store, named};
use super::*;

const PUBLIC_FILE: &str = "zmq-key.pub";
const SECRET_FILE: &str = "zmq-key.priv";

fn plan(state_dir: &Path, clients: Option<PathBuf>) -> Encryption {
    Encryption { state_dir: state_dir.to_owned(), key: None, reader: None, clients }
}

/// Serves one batch until the thread is told to stop.
fn serve(plan: Encryption) -> (Arc<Outbox>, String, std::thread::JoinHandle<()>) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("zmq://127.0.0.1:{port}");
    let endpoint::Endpoint::Zmq(endpoint) = url.parse().unwrap() else { panic!() };
    let options = Options { encryption: Some(plan), ..options(Acknowledge::Require) };
    let mut sink = Box::new(Zmq::open(&endpoint, &options).unwrap());
    let outbox = Outbox::new(&[(sink.name(), sink.guarantee())], usize::MAX);
    let cursor = outbox.cursor(0);
    sink.prepare(&cursor);
    outbox.append(&sealed(0));
    (outbox, endpoint.transport(), std::thread::spawn(move || sink.run(cursor)))
}

fn client(server: &[u8], pair: &::zmq::CurveKeyPair, address: &str) -> Store {
    let socket = ::zmq::Context::new().socket(::zmq::XSUB).unwrap();
    socket.set_curve_serverkey(server).unwrap();
    socket.set_curve_publickey(&pair.public_key).unwrap();
    socket.set_curve_secretkey(&pair.secret_key).unwrap();
    Store::over(socket, address, named(7))
}

fn public_key(state: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(state.join(PUBLIC_FILE)).unwrap();
    ::zmq::z85_decode(text.trim()).unwrap()
}

/// Nothing comes, though it says HELLO all the time.
fn assert_shut_out(store: &Store) {
    for _ in 0..10 {
        store.socket.send(store.hello.to_octets().as_slice(), 0).unwrap();
        assert_eq!(store.socket.poll(::zmq::POLLIN, 100), Ok(0), "it got something");
    }
}

#[test]
fn the_servers_key_opens_and_another_one_does_not() {
    let state = tempfile::tempdir().unwrap();
    let (outbox, address, thread) = serve(plan(state.path(), None));
    let pair = ::zmq::CurveKeyPair::new().unwrap();
    let other = ::zmq::CurveKeyPair::new().unwrap();
    assert_shut_out(&client(&other.public_key, &pair, &address));
    assert_shut_out(&Store::connect(&address, named(8)));
    let mut store = client(&public_key(state.path()), &pair, &address);
    store.greet().session.unwrap();
    assert_eq!(store.receive(), (0, 0));
    outbox.end();
    thread.join().unwrap();
}

#[test]
fn only_listed_clients_get_in() {
    let state = tempfile::tempdir().unwrap();
    let (listed, other) = (::zmq::CurveKeyPair::new().unwrap(), ::zmq::CurveKeyPair::new().unwrap());
    let clients = state.path().join("clients");
    std::fs::write(&clients, ::zmq::z85_encode(&listed.public_key).unwrap() + " # rack 7\n").unwrap();
    let (outbox, address, thread) = serve(plan(state.path(), Some(clients)));
    let server = public_key(state.path());
    assert_shut_out(&client(&server, &other, &address));
    let mut store = client(&server, &listed, &address);
    store.greet().session.unwrap();
    assert_eq!(store.receive(), (0, 0));
    outbox.end();
    thread.join().unwrap();
}

#[test]
fn a_key_that_is_none_is_refused_at_the_start() {
    let state = tempfile::tempdir().unwrap();
    plan(state.path(), None).read().unwrap();
    std::fs::write(state.path().join(SECRET_FILE), "no key\n").unwrap();
    let said = plan(state.path(), None).read().unwrap_err().to_string();
    assert!(said.contains(SECRET_FILE) && said.contains("6 characters instead of 40"), "{said}");
    let missing = plan(state.path(), Some(state.path().join("clients"))).read().unwrap_err();
    assert!(matches!(missing, flow_wire::curve::Error::Malformed { .. }), "the pair is read first");
}
