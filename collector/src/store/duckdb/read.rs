//! Answers. Each query has a connection of its own and one transaction: it sees the state between two commits.

use std::net::IpAddr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use duckdb::types::{Value, ValueRef};
use duckdb::{Connection, Row, Transaction, params_from_iter};

use super::super::{COLUMNS, Column, Depth, Error, Kind, Lock, Reader, Second, StoreTerms};
use super::files::Gate;
use super::render::{self, Sql};
use super::{books, spread};
use crate::query::answer::{self, Cell};
use crate::query::{Flows, Timeseries, Top, address};

/// A query that takes longer is stopped: the page asks again and again, and the collector has to store meanwhile.
const QUERY_TIME_MAX: Duration = Duration::from_secs(30);

/// Connections that are kept for the next query.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// Reads beside the writer, from any thread.
pub struct DuckDbReader {
    root: Mutex<Connection>,
    idle: Mutex<Vec<Connection>>,
    gate: Gate,
    _lock: Arc<Lock>,
}

impl DuckDbReader {
    pub(super) fn new(root: Connection, gate: Gate, lock: Arc<Lock>) -> Self {
        Self { root: Mutex::new(root), idle: Mutex::new(Vec::new()), gate, _lock: lock }
    }

    /// Runs a query in a transaction, and stops it when its time is over.
    fn snapshot<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.root.lock().unwrap_or_else(PoisonError::into_inner).try_clone()?,
        };
        let transaction = self.begin(&connection)?;
        let (answer, stopped) = limited(&connection, QUERY_TIME_MAX, || ask(&transaction));
        // After an error the connection goes with its transaction.
        let answer = match answer {
            Err(_) if stopped => return Err(Error::Timeout(QUERY_TIME_MAX.as_secs())),
            Err(error) => return Err(error),
            Ok(answer) => answer,
        };
        transaction.commit()?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }
}

impl DuckDbReader {
    /// A transaction that has seen views and newest file at one moment: the engine begins with each of them at the first look.
    fn begin<'a>(&self, connection: &'a Connection) -> Result<Transaction<'a>, Error> {
        let _nothing_changes = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.unchecked_transaction()?;
        transaction.query_row("SELECT day FROM meta", [], |row| row.get::<_, u32>(0))?;
        Ok(transaction)
    }
}

/// Interrupts what runs on the connection after `most`; says whether it had to.
fn limited<T>(connection: &Connection, most: Duration, run: impl FnOnce() -> T) -> (T, bool) {
    let handle = connection.interrupt_handle();
    let (done, watched) = channel::<()>();
    std::thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let late = watched.recv_timeout(most) == Err(RecvTimeoutError::Timeout);
            if late {
                handle.interrupt();
            }
            late
        });
        let answer = run();
        drop(done);
        (answer, watch.join().unwrap_or(false))
    })
}

impl Reader for DuckDbReader {
    fn flows(&self, query: &Flows) -> Result<answer::Flows, Error> {
        let mut sql = Sql::default();
        let names: Vec<_> = COLUMNS.iter().map(render::name).collect();
        sql.push(&format!("SELECT {} FROM flow", names.join(", ")));
        let condition = render::ended_in(query.selection.range, &query.selection.filter);
        sql.push(&condition.text);
        sql.values.extend(condition.values);
        sql.push(" ORDER BY flow_end_nanoseconds DESC, probe_id, epoch, stream, sequence, \"row\" LIMIT ");
        sql.bind(Value::UBigInt(u64::from(query.limit) + 1));
        let columns: Vec<&Column> = COLUMNS.iter().collect();
        let mut rows = self.snapshot(|connection| collect(connection, &sql, |row| cells(row, &columns)))?;
        let truncated = rows.len() > query.limit as usize;
        rows.truncate(query.limit as usize);
        Ok(answer::Flows { range: query.selection.range, limit: query.limit, truncated, rows })
    }

    fn top(&self, query: &Top) -> Result<answer::Top, Error> {
        let sql = top_sql(query);
        let (by, measures) = (query.by.len(), query.measures.len());
        let found = self.snapshot(|connection| {
            collect(connection, &sql, |row| {
                let numbers =
                    |from| (from..from + measures).map(|at| unsigned(row, at)).collect::<Result<_, _>>();
                let group = answer::Group { key: cells(row, &query.by)?, sums: numbers(by)? };
                Ok((group, numbers(by + measures)?))
            })
        })?;
        let total =
            found.first().map_or_else(|| vec![0; measures], |(_, total): &(_, Vec<u64>)| total.clone());
        Ok(answer::Top {
            range: query.selection.range,
            by: query.by.clone(),
            measures: query.measures.clone(),
            limit: query.limit,
            rows: found.into_iter().map(|(group, _)| group).collect(),
            total,
        })
    }

    fn timeseries(&self, query: &Timeseries) -> Result<answer::Timeseries, Error> {
        self.snapshot(|connection| spread::timeseries(connection, query))
    }

    fn books(&self, depth: Depth) -> Result<StoreTerms, Error> {
        self.snapshot(|connection| books::books(connection, depth))
    }

    fn standing(&self) -> Result<(u64, u64), Error> {
        self.snapshot(books::standing)
    }

    fn seconds(&self, since_nanoseconds: u64) -> Result<Vec<Second>, Error> {
        self.snapshot(|connection| books::seconds(connection, since_nanoseconds))
    }
}

/// Groups with their sums, and beside each the sums of all groups, of one state.
fn top_sql(query: &Top) -> Sql {
    let keys: Vec<_> = query.by.iter().map(|column| render::name(column)).collect();
    let sums =
        query.measures.iter().enumerate().map(|(at, measure)| format!("{} AS m{at}", render::sum(*measure)));
    let columns = keys.iter().cloned().chain(sums).collect::<Vec<_>>().join(", ");
    let mut sql = Sql::default();
    sql.push(&format!("WITH grouped AS (SELECT {columns} FROM flow"));
    let condition = render::ended_in(query.selection.range, &query.selection.filter);
    sql.push(&condition.text);
    sql.values.extend(condition.values);
    if !keys.is_empty() {
        sql.push(&format!(" GROUP BY {}", keys.join(", ")));
    }
    let totals: Vec<_> = (0..query.measures.len()).map(|at| format!("sum(m{at}) OVER ()")).collect();
    sql.push(&format!(") SELECT *, {} FROM grouped ORDER BY m0 DESC", totals.join(", ")));
    for key in &keys {
        sql.push(&format!(", {key} NULLS FIRST"));
    }
    sql.push(" LIMIT ");
    sql.bind(Value::UBigInt(u64::from(query.limit)));
    sql
}

/// All rows of an answer.
pub(super) fn collect<T>(
    connection: &Connection,
    sql: &Sql,
    mut of: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut statement = connection.prepare(&sql.text)?;
    let mut rows = statement.query(params_from_iter(sql.values.iter()))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(of(row)?);
    }
    Ok(found)
}

/// The first cells of a row, which hold these columns.
pub(super) fn cells(row: &Row<'_>, columns: &[&Column]) -> Result<Vec<Cell>, Error> {
    columns.iter().enumerate().map(|(at, column)| cell(row, at, column)).collect()
}

fn cell(row: &Row<'_>, at: usize, column: &Column) -> Result<Cell, Error> {
    if let ValueRef::Null = row.get_ref(at)? {
        return Ok(Cell::Absent);
    }
    Ok(match column.kind {
        Kind::Address => Cell::Address(address(row, at)?),
        Kind::Uuid => Cell::Uuid(super::stream::uuid(row, at)?),
        Kind::U8 if column.name == "flow_end_reason" => {
            let number = unsigned(row, at)?;
            answer::end_reason_name(number).map_or(Cell::Unsigned(number), Cell::Name)
        }
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => Cell::Unsigned(unsigned(row, at)?),
    })
}

fn address(row: &Row<'_>, at: usize) -> Result<IpAddr, Error> {
    Ok(address::from_octets(super::stream::uuid(row, at)?.into_bytes()))
}

/// A whole number of any width, at most 64 bits of it.
pub(super) fn unsigned(row: &Row<'_>, at: usize) -> Result<u64, Error> {
    let number = match row.get_ref(at)? {
        ValueRef::UTinyInt(number) => i128::from(number),
        ValueRef::USmallInt(number) => i128::from(number),
        ValueRef::UInt(number) => i128::from(number),
        ValueRef::UBigInt(number) => i128::from(number),
        ValueRef::Int(number) => i128::from(number),
        ValueRef::BigInt(number) => i128::from(number),
        ValueRef::HugeInt(number) => number,
        other => return Err(Error::Malformed { table: "an answer", found: format!("{other:?}") }),
    };
    u64::try_from(number).map_err(|_| Error::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_without_end_is_stopped_and_its_connection_goes_on() {
        let connection = Connection::open_in_memory().unwrap();
        let ask = |text: &str| connection.query_row(text, [], |row| row.get::<_, i64>(0));
        let endless = "SELECT count(*) FROM range(1000000000000) AS t(a) WHERE a % 7 = 3";
        let (answer, stopped) = limited(&connection, Duration::from_millis(50), || ask(endless));
        assert!(stopped && answer.is_err(), "{answer:?}");
        let (answer, stopped) = limited(&connection, Duration::from_secs(30), || ask("SELECT 7"));
        assert_eq!((answer.unwrap(), stopped), (7, false));
    }
}
