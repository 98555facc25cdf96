//! The delivery protocol as an executable model, every interleaving of which is explored: seal, spool, bus and store, with the
//! death of any party between any two steps. What must hold: nothing is stored twice, nothing is lost that no tombstone
//! names (a power cut takes what was not synced, and nothing else), the books balance, and the end stays in reach.
//!
//! ```text
//! record ring ─► sealed ─► spool ─► transaction with cursor ─► log ─► intake ─► store      Kafka
//!                            └────► credit, batches ─────────────────► intake ─► store      ZMQ
//!                                        ◄──────────── acknowledged ───────────────┘
//! ```
//!
//! Each mutation is a way to get it wrong that looks harmless; the same exploration must find what it breaks.

#[path = "delivery_model/collector.rs"]
mod collector;
#[path = "delivery_model/explore.rs"]
mod explore;
#[path = "delivery_model/kafka.rs"]
mod kafka;
#[path = "delivery_model/list.rs"]
mod list;
#[path = "delivery_model/probe.rs"]
mod probe;
#[path = "delivery_model/rules.rs"]
mod rules;
#[path = "delivery_model/state.rs"]
mod state;
#[path = "delivery_model/zmq.rs"]
mod zmq;

use explore::{Found, NO_WAY_OUT, explore};
use rules::{Bus, Mutation, Protocol};
use state::Faults;

const KILLS: Faults = Faults { probe: 1, power: 0, collector: 1, breaks: 1, drops: 0, discards: 0 };
const POWER: Faults = Faults { probe: 0, power: 1, collector: 0, breaks: 1, drops: 0, discards: 0 };
const QUOTA: Faults = Faults { probe: 1, power: 0, collector: 0, breaks: 1, drops: 0, discards: 1 };
const DROPS: Faults = Faults { probe: 0, power: 0, collector: 1, breaks: 1, drops: 1, discards: 0 };

fn protocol(bus: Bus, faults: Faults) -> Protocol {
    // What is acknowledged over ZMQ crosses three queues: a third record would be ten times the states.
    let records = if bus == Bus::Zmq { 2 } else { 3 };
    Protocol { bus, records, syncs_first: false, faults, mutation: None }
}

fn assert_sound(protocol: Protocol) {
    let begin = std::time::Instant::now();
    match explore(&protocol) {
        Found::Sound { states, ends } => {
            println!("{protocol:?}: {states} states, {ends} ends, {:?}", begin.elapsed());
            assert!(ends > 0 && states > 1_000, "{states} states, {ends} ends: the model does nothing");
        }
        Found::Broken { wrong, steps } => panic!("{protocol:?}: {wrong} after {steps:#?}"),
    }
}

fn assert_broken(mutation: Mutation, bus: Bus, faults: Faults, expected: &str) {
    let mutant = Protocol { mutation: Some(mutation), ..protocol(bus, faults) };
    match explore(&mutant) {
        Found::Sound { states, .. } => panic!("{mutant:?} passes for sound in {states} states"),
        Found::Broken { wrong, steps } => {
            println!("{mutation:?} over {bus:?}: {wrong} after {steps:?}");
            assert_eq!(wrong, expected, "{mutant:?}: {steps:#?}");
        }
    }
}

macro_rules! sound {
    ($($test:ident: $bus:ident, $faults:ident;)*) => {$(
        #[test]
        fn $test() {
            assert_sound(protocol(Bus::$bus, $faults));
        }
    )*};
}

sound! {
    transactions_survive_kills: Transactions, KILLS;
    transactions_survive_a_power_cut: Transactions, POWER;
    transactions_survive_the_quota: Transactions, QUOTA;
    kafka_without_transactions_survives_kills: NoTransactions, KILLS;
    kafka_without_transactions_survives_a_power_cut: NoTransactions, POWER;
    kafka_without_transactions_survives_refusals: NoTransactions, DROPS;
    kafka_without_transactions_survives_the_quota: NoTransactions, QUOTA;
    zmq_survives_kills: Zmq, KILLS;
    zmq_survives_a_power_cut: Zmq, POWER;
    zmq_survives_losses: Zmq, DROPS;
    zmq_survives_the_quota: Zmq, QUOTA;
}

#[test]
fn what_is_synced_before_it_is_sent_survives_a_power_cut() {
    for bus in [Bus::Transactions, Bus::NoTransactions, Bus::Zmq] {
        assert_sound(Protocol { syncs_first: true, ..protocol(bus, POWER) });
    }
}

const LOST: &str = "a record is lost";
const TWICE: &str = "a record is stored twice";

macro_rules! broken {
    ($($test:ident: $mutation:ident, $bus:ident, $faults:ident, $expected:expr;)*) => {$(
        #[test]
        fn $test() {
            assert_broken(Mutation::$mutation, Bus::$bus, $faults, $expected);
        }
    )*};
}

broken! {
    a_cursor_that_moves_before_the_acknowledgement_loses: CursorBeforeAcknowledgement, Transactions, KILLS, LOST;
    a_cursor_that_moves_before_the_acknowledgement_loses_without_transactions:
        CursorBeforeAcknowledgement, NoTransactions, KILLS, LOST;
    a_cursor_that_moves_before_the_acknowledgement_loses_over_zmq: CursorBeforeAcknowledgement, Zmq, KILLS, LOST;
    a_cursor_beside_the_transaction_doubles:
        CursorInFile, Transactions, KILLS, "readers of committed messages see a batch twice";
    a_producer_that_is_not_fenced_doubles:
        NoFence, Transactions, KILLS, "readers of committed messages see a batch twice";
    positions_that_come_again_lose: PositionReuse, Transactions, POWER, LOST;
    an_epoch_that_is_continued_has_two_batches_of_one_stamp:
        EpochContinued, NoTransactions, POWER, "two batches have one stamp";
    a_ring_that_is_released_before_the_append_loses: RingBeforeSpool, Transactions, KILLS, LOST;
    a_recovery_that_does_not_ask_the_spool_doubles: RecoveryWithoutSpool, Transactions, KILLS, TWICE;
    an_offset_beside_the_rows_loses: OffsetBeforeRows, Transactions, KILLS, LOST;
    a_high_water_mark_loses: HighWaterMark, NoTransactions, DROPS, LOST;
    a_high_water_mark_loses_over_zmq: HighWaterMark, Zmq, DROPS, LOST;
    a_store_that_does_not_look_at_stamps_doubles: NoDedupe, NoTransactions, KILLS, TWICE;
    a_store_that_does_not_look_at_stamps_doubles_over_zmq: NoDedupe, Zmq, KILLS, TWICE;
    an_acknowledgement_before_the_commit_loses: AcknowledgeBeforeCommit, Zmq, KILLS, LOST;
    discards_by_number_do_not_balance: DiscardsByNumber, Transactions, QUOTA, "the books do not balance";
    discards_by_number_do_not_balance_over_zmq: DiscardsByNumber, Zmq, QUOTA, "the books do not balance";
    a_collector_that_greets_once_waits_for_ever: OneHello, Zmq, KILLS, NO_WAY_OUT;
}
