//! What lies in the collector's store, read from its files once nobody holds them: no word of the collector's is taken for it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use duckdb::{AccessMode, Config, Connection, Row};
use perf::flows::{self, Flows, Line};

/// Epoch, stream and sequence, as the log of sealed batches writes them.
pub(crate) type Stamp = (String, u16, u64);

/// CRC32C and rows.
pub(crate) type Content = (u32, u32);

/// All of it.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) flows: Flows,
    pub(crate) records: u64,
    pub(crate) batches: BTreeMap<Stamp, Content>,
    /// Stamps that are there twice.
    pub(crate) doubled: Vec<Stamp>,
}

/// Reads every file of the store that has flows.
pub(crate) fn read(directory: &Path) -> duckdb::Result<Stored> {
    let mut stored = Stored::default();
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "duckdb"));
    files.sort();
    for path in files {
        let connection =
            Connection::open_with_flags(&path, Config::default().access_mode(AccessMode::ReadOnly)?)?;
        read_flows(&connection, &mut stored)?;
        read_batches(&connection, &mut stored)?;
    }
    Ok(stored)
}

fn read_flows(connection: &Connection, stored: &mut Stored) -> duckdb::Result<()> {
    let mut statement = connection.prepare(
        "SELECT source_ip_address, destination_ip_address, source_transport_port, destination_transport_port,
            protocol_identifier, packet_delta_count, reverse_packet_delta_count, octet_delta_count,
            reverse_octet_delta_count, layer2_octet_delta_count, reverse_layer2_octet_delta_count FROM flow",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        flows::add(&mut stored.flows, &line(row)?);
        stored.records += 1;
    }
    Ok(())
}

fn line(row: &Row<'_>) -> duckdb::Result<Line> {
    Ok(Line {
        source_ip_address: address(row, 0)?,
        destination_ip_address: address(row, 1)?,
        source_transport_port: row.get(2)?,
        destination_transport_port: row.get(3)?,
        protocol_identifier: row.get(4)?,
        vlan_id: None,
        packet_delta_count: row.get(5)?,
        reverse_packet_delta_count: row.get(6)?,
        octet_delta_count: row.get(7)?,
        reverse_octet_delta_count: row.get(8)?,
        layer2_octet_delta_count: row.get(9)?,
        reverse_layer2_octet_delta_count: row.get(10)?,
    })
}

fn address(row: &Row<'_>, column: usize) -> duckdb::Result<IpAddr> {
    let octets: Vec<u8> = row.get(column)?;
    let octets: [u8; 16] = octets.try_into().expect("an address has 16 octets");
    Ok(Ipv6Addr::from(octets).to_canonical())
}

fn read_batches(connection: &Connection, stored: &mut Stored) -> duckdb::Result<()> {
    let mut statement = connection.prepare("SELECT epoch, stream, sequence, crc32c, records FROM batch")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let epoch: Vec<u8> = row.get(0)?;
        let epoch = uuid::Uuid::from_slice(&epoch).expect("an epoch is a UUID");
        let stamp = (epoch.to_string(), row.get(1)?, row.get(2)?);
        if stored.batches.insert(stamp.clone(), (row.get(3)?, row.get(4)?)).is_some() {
            stored.doubled.push(stamp);
        }
    }
    Ok(())
}
