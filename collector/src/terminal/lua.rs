//! `gannet-collector lua SCRIPT`: the script as the collector would run it, in a process of its own, with the terminal as its log.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flow_wire::batch;
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use serde_json::Value;
use uuid::Uuid;

use super::report::list;
use super::{Error, Exit, client};
use crate::config::Lua;
use crate::script::{Answers, Api, Ears, Ended, Job, Kafka, Level, Listen, Process, Script, When, source};

/// Between two looks whether messages have arrived.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs it once, or gives it flows.
pub fn lua(asked: &Lua) -> Result<Exit, Error> {
    let settings = asked.settings()?;
    let name = asked.script.file_name().unwrap_or(asked.script.as_os_str()).to_string_lossy().into_owned();
    let when = if asked.flows.is_some() { When::Flow } else { When::Once };
    let script = Script { name, path: asked.script.clone(), when };
    let api = Arc::new(Running(asked.http.clone()));
    let answers = Answers::new(settings.directory.clone(), api, Arc::new(Terminal::default()));
    let text = source(&script.path).map_err(Ended::from)?;
    let batch = asked.flows.map(|count| last_flows(&asked.http, count)).transpose()?;
    let mut process = Process::start(&script, &settings)?;
    let job = batch.as_ref().map_or(Job::Run(&text), |sealed| Job::Flows(&sealed.body));
    let mut sums = Sums::default();
    let done = process.work(job, &answers, &mut sums)?;
    // What it sent is waited for as long as a run may take.
    let until = Instant::now() + settings.time_limit;
    while !sums.are_settled() && Instant::now() < until {
        process.idle(LOOK_EVERY, &answers, &mut sums)?;
    }
    process.farewell(&answers, &mut sums);
    if let Some(error) = &done.error {
        eprintln!("gannet-collector: script {}: {error}", script.name);
    }
    if asked.flows.is_some() {
        eprintln!(
            "gannet-collector: script {}: {} flows, {} ended with an error",
            script.name, done.flows, done.failed_flows
        );
    }
    let Kafka { queued, refused, delivered, failed } = sums.0;
    if queued + refused > 0 {
        eprintln!(
            "gannet-collector: Kafka: {queued} messages queued, {refused} refused, {delivered} delivered, {failed} failed"
        );
    }
    let is_well = done.error.is_none() && refused == 0 && delivered == queued;
    Ok(if is_well { Exit::Done } else { Exit::Failed })
}

/// A collector elsewhere.
struct Running(String);

impl Api for Running {
    fn get(&self, path: &str, pairs: &[(String, String)]) -> Result<String, String> {
        client::get(&self.0, path, pairs).map_err(|error| error.to_string())
    }
}

/// What a script prints is data; what it warns of is not.
#[derive(Default)]
struct Terminal(Mutex<()>);

impl Ears for Terminal {
    fn hear(&self, _: &str, level: Level, text: &str) {
        // A line is written whole.
        let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match level {
            // A reader that has seen enough is no error.
            Level::Debug | Level::Info => drop(super::print(&format!("{text}\n"))),
            Level::Warn => eprintln!("WARN {text}"),
            Level::Error => eprintln!("ERROR {text}"),
        }
    }
}

#[derive(Default)]
struct Sums(Kafka);

impl Sums {
    fn are_settled(&self) -> bool {
        self.0.delivered + self.0.failed >= self.0.queued
    }
}

impl Listen for Sums {
    fn kafka(&mut self, kafka: Kafka) {
        self.0.queued += kafka.queued;
        self.0.refused += kafka.refused;
        self.0.delivered += kafka.delivered;
        self.0.failed += kafka.failed;
    }

    fn alert(&mut self, _: Level, _: &str) {}
}

/// The last flows of a collector, in a batch as a probe would have sealed it.
fn last_flows(http: &str, count: u32) -> Result<batch::Sealed, Error> {
    let answer = client::get(http, "/api/v1/flows", &[("limit".to_owned(), count.to_string())])?;
    let answer: Value = serde_json::from_str(&answer).map_err(|error| Error::Failed(error.to_string()))?;
    let records: Option<Vec<_>> = list(&answer["flows"]).iter().rev().map(record).collect();
    let foreign = |what: &str| Error::Foreign { address: http.to_owned(), what: what.to_owned() };
    let records = records.ok_or_else(|| foreign("a flow lacks a field"))?;
    if records.is_empty() {
        return Err(Error::Failed(format!("the collector at {http} has no flows yet")));
    }
    let none = Uuid::nil();
    let stamp =
        Stamp { probe: ProbeId(none), epoch: Epoch(none), stream: StreamId(0), sequence: Sequence(0) };
    batch::encode(&records, stamp).map_err(|error| Error::Failed(error.to_string()))
}

/// A row of the API. `None` = it lacks something.
fn record(flow: &Value) -> Option<FlowRecord> {
    let number = |name: &str| flow[name].as_u64();
    let small = |name: &str| number(name).and_then(|number| u16::try_from(number).ok());
    let octet = |name: &str| number(name).and_then(|number| u8::try_from(number).ok());
    let wide = |name: &str| number(name).and_then(|number| u32::try_from(number).ok());
    let address = |name: &str| flow[name].as_str()?.parse::<IpAddr>().ok();
    Some(FlowRecord {
        observation_domain_id: wide("observation_domain_id")?,
        ingress_interface: wide("ingress_interface")?,
        flow_start_nanoseconds: number("flow_start_nanoseconds")?,
        flow_end_nanoseconds: number("flow_end_nanoseconds")?,
        source_ip_address: address("source_ip_address")?,
        destination_ip_address: address("destination_ip_address")?,
        source_transport_port: small("source_transport_port")?,
        destination_transport_port: small("destination_transport_port")?,
        protocol_identifier: octet("protocol_identifier")?,
        vlan_id: small("vlan_id"),
        customer_vlan_id: small("customer_vlan_id"),
        packet_delta_count: number("packet_delta_count")?,
        reverse_packet_delta_count: number("reverse_packet_delta_count")?,
        octet_delta_count: number("octet_delta_count")?,
        reverse_octet_delta_count: number("reverse_octet_delta_count")?,
        layer2_octet_delta_count: number("layer2_octet_delta_count")?,
        reverse_layer2_octet_delta_count: number("reverse_layer2_octet_delta_count")?,
        tcp_control_bits: small("tcp_control_bits"),
        reverse_tcp_control_bits: small("reverse_tcp_control_bits"),
        ip_class_of_service: octet("ip_class_of_service")?,
        reverse_ip_class_of_service: octet("reverse_ip_class_of_service"),
        minimum_ttl: octet("minimum_ttl")?,
        maximum_ttl: octet("maximum_ttl")?,
        icmp_type: octet("icmp_type"),
        icmp_code: octet("icmp_code"),
        flow_end_reason: reason(&flow["flow_end_reason"])?,
        recovered_from: flow["recovered_from"].as_str().and_then(|text| text.parse().ok()).map(Epoch),
        shunted_packet_delta_count: number("shunted_packet_delta_count"),
    })
}

fn reason(value: &Value) -> Option<FlowEndReason> {
    serde_json::from_value(value.clone()).ok()
}
