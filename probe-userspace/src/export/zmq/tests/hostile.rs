//! Peers that say anything: bounded, counted, and no harm to a store.

use super::store::{Store, named};
use super::*;
use crate::export::zmq::stores::{Peer, Stores};
use flow_wire::upstream::{Ack, No};

const HERE: Peer = Peer { is_local: true, is_encrypted: false };
const ELSEWHERE: Peer = Peer { is_local: false, is_encrypted: false };

fn stores(acknowledge: Acknowledge) -> (Stores, Arc<Outbox>, Cursor) {
    let outbox = Outbox::new(&[("zmq://test".to_owned(), Guarantee::AtMostOnce)], usize::MAX);
    let cursor = outbox.cursor(0);
    let probe = ProbeId(Uuid::from_u128(1));
    (Stores::new("zmq://test".to_owned(), "gannet", probe, acknowledge), outbox, cursor)
}

#[test]
fn a_flood_of_stores_gets_no_more_cursors_than_there_may_be() {
    let (mut stores, outbox, cursor) = stores(Acknowledge::Auto);
    let now = Instant::now();
    let mut said = |number| {
        let hello = named(number).to_octets();
        stores.hear(&hello, HERE, &cursor, now).unwrap().1.session
    };
    (0..8).for_each(|number| assert!(said(number).is_ok()));
    (8..10_000).for_each(|number| assert_eq!(said(number), Err(No::TooManyStores)));
    outbox.begin_epoch(flow_wire::stamp::Epoch(uuid::Uuid::nil()), &[StreamId(0)]);
    assert_eq!(outbox.terms().len(), 1 + 8);
    assert_eq!(stores.noise(), 9_992);
}

#[test]
fn a_store_that_never_came_back_makes_room_for_another_one() {
    let (mut stores, outbox, cursor) = stores(Acknowledge::Auto);
    outbox.begin_epoch(flow_wire::stamp::Epoch(uuid::Uuid::nil()), &[StreamId(0)]);
    let begin = Instant::now();
    let mut said = |number, now| {
        let hello = named(number).to_octets();
        stores.hear(&hello, HERE, &cursor, now).unwrap().1.session
    };
    (0..8).for_each(|number| assert!(said(number, begin + Duration::from_secs(number as u64)).is_ok()));
    let hour = begin + Duration::from_secs(3_600);
    assert_eq!(said(8, hour - Duration::from_secs(1)), Err(No::TooManyStores));
    assert!(said(8, hour).is_ok());
    assert_eq!(said(9, hour), Err(No::TooManyStores));
    let names: Vec<_> = outbox.terms().into_iter().map(|terms| terms.sink).collect();
    assert_eq!(names.len(), 1 + 8);
    assert!(!names.contains(&format!("zmq://test/{}", Uuid::from_u128(0))), "{names:?}");
}

#[test]
fn without_encryption_only_this_host_may_acknowledge() {
    let (mut stores, outbox, cursor) = stores(Acknowledge::Auto);
    let now = Instant::now();
    let hello = named(7);
    let session =
        |stores: &mut Stores, peer| stores.hear(&hello.to_octets(), peer, &cursor, now).unwrap().1.session;
    assert_eq!(session(&mut stores, ELSEWHERE), Err(No::NotPermitted));
    let session_of_the_store = session(&mut stores, HERE).unwrap();
    assert!(session(&mut stores, Peer { is_encrypted: true, ..ELSEWHERE }).is_ok());

    // Nor may another peer acknowledge for it.
    outbox.append(&sealed(0));
    let socket = socket::socket(&::zmq::Context::new(), 8, false).unwrap();
    stores.pump(&socket, now);
    let ack = Ack { store: hello.store, session: session_of_the_store, credit: 1, received: 1, committed: 1 };
    let acknowledged = || outbox.terms().last().map(|terms| terms.acknowledged);
    stores.hear(&ack.to_octets(), ELSEWHERE, &cursor, now);
    assert_eq!(acknowledged(), Some(0));
    stores.hear(&ack.to_octets(), HERE, &cursor, now);
    assert_eq!(acknowledged(), Some(1));
    let (mut stores, _, cursor) = self::stores(Acknowledge::Require);
    assert!(stores.hear(&hello.to_octets(), ELSEWHERE, &cursor, now).unwrap().1.session.is_ok());
}

#[test]
fn a_store_is_served_while_others_talk_nonsense() {
    let (mut sink, address) = publisher_with(SEND_QUEUE_MESSAGES, &options(Acknowledge::Auto));
    let outbox = Outbox::new(&[(sink.name(), sink.guarantee())], usize::MAX);
    outbox.begin_epoch(flow_wire::stamp::Epoch(uuid::Uuid::nil()), &[StreamId(0)]);
    let cursor = outbox.cursor(0);
    let hostile = Store::connect(&address, named(1)).socket;
    let oversized = Store::connect(&address, named(2)).socket;
    let mut store = Store::connect(&address, named(7));
    let greeted = std::thread::spawn(move || {
        store.greet().session.unwrap();
        store
    });
    // Until a store is known the connections stand; what was said before that went nowhere.
    while !sink.stores.have_come() {
        sink.wait(LOOK);
        sink.listen(&cursor);
        for number in 0..100_u64 {
            let unknown = Ack {
                store: Uuid::from_u128(7),
                session: Uuid::nil(),
                credit: 1,
                received: number,
                committed: number,
            };
            hostile.send(unknown.to_octets().as_slice(), ::zmq::DONTWAIT).unwrap();
            hostile.send(b"GNU1 and nonsense".as_slice(), ::zmq::DONTWAIT).unwrap();
            hostile.send([&[1], number.to_be_bytes().as_slice()].concat(), ::zmq::DONTWAIT).unwrap();
        }
        oversized.send(vec![b'G'; 100_000], ::zmq::DONTWAIT).unwrap();
    }
    outbox.append(&sealed(0));
    sink.stores.pump(&sink.socket, Instant::now());
    let mut store = greeted.join().unwrap();
    assert_eq!(store.receive(), (0, 0));
    store.acknowledge(1, 1);
    while outbox.terms().last().unwrap().acknowledged == 0 {
        sink.wait(LOOK);
        sink.listen(&cursor);
    }
    while sink.stores.noise() == 0 {
        hostile.send(b"GNU1 and nonsense".as_slice(), 0).unwrap();
        sink.wait(LOOK);
        sink.listen(&cursor);
    }
}
