//! The files of a store: one per ingest day, since a whole file can be removed and a row in it cannot.
//!
//! ```text
//! flows.duckdb    flows-2.duckdb    flows-3.duckdb           ascending by day; the newest one is written
//!  └ flow, batch ┘  └ flow, batch ┘  └ flow, batch ┘          rows stay where they were written
//!                                     received, bus_offset, .. the newest decides: it began with a copy
//! ```
//! One engine in memory has all of them attached. Whoever asks sees views that put the rows together; the writer stands in
//! the newest file, since a transaction writes to one file only. The day is a number that counts up: a clock that jumps begins
//! a new file, and makes no file older than it is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use duckdb::{Config, Connection};

use super::super::Error;
use super::kill::kill_point;
use super::{migrate, schema};

/// The first file: of a new store, and of one that an earlier release made.
pub(super) const FIRST: &str = "flows.duckdb";

/// A file that is being made: it is not there until it has its name.
const NEW: &str = "new";

/// A probe may run on the same machine, and DuckDB would take four fifths of its memory. What does not fit is spilled
/// beside the store.
const MEMORY_MAX: &str = "2GiB";

/// Longer than any query takes: what was read when a file was removed is not read any more.
const LEAVES_AFTER: Duration = Duration::from_secs(60);

/// One attached file.
#[derive(Clone, Debug)]
pub(super) struct DayFile {
    /// Its number: 1 for the first.
    pub(super) day: u32,
    /// What the clock said at its first commit, in days since the UNIX epoch; `None` = it had none yet.
    pub(super) clock_day: Option<u32>,
    /// As the engine knows it.
    pub(super) name: String,
    path: PathBuf,
}

impl DayFile {
    /// Its octets, those of its log included.
    fn octets(&self) -> u64 {
        let of = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
        of(&self.path) + of(&log_of(&self.path))
    }
}

/// All files of a store, ascending by day; at least one.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    all: Vec<DayFile>,
    /// Removed, and attached still: whoever began to read before may go on.
    leaving: Vec<(String, Instant)>,
    /// Held while views and newest file change, so that nobody sees one without the other.
    gate: Gate,
}

/// Whoever begins to read passes it.
pub(super) type Gate = Arc<RwLock<()>>;

impl Files {
    /// Attaches what is there, and makes the first file of a new store.
    pub(super) fn open(directory: &Path) -> Result<(Connection, Self), Error> {
        let connection = engine(directory)?;
        remove_unfinished(directory)?;
        let (directory_of_files, gate) = (directory.to_owned(), Gate::default());
        let mut files = Self { directory: directory_of_files, all: Vec::new(), leaving: Vec::new(), gate };
        for path in paths(directory)? {
            files.attach(&connection, &path)?;
        }
        if files.all.is_empty() {
            files.attach(&connection, &directory.join(FIRST))?;
        }
        files.all.sort_by_key(|file| file.day);
        files.enter(&connection)?;
        files.remove_condemned(&connection)?;
        files.leave(&connection, Duration::ZERO)?;
        Ok((connection, files))
    }

    /// What readers pass.
    pub(super) fn gate(&self) -> Gate {
        Arc::clone(&self.gate)
    }

    /// Whether there is a store in a directory.
    pub(super) fn are_in(directory: &Path) -> bool {
        paths(directory).is_ok_and(|paths| !paths.is_empty())
    }

    /// The one that is written.
    pub(super) fn newest(&self) -> &DayFile {
        // `open` leaves none without a file, and the newest is never removed.
        &self.all[self.all.len() - 1]
    }

    /// Notes the day of the first commit.
    pub(super) fn committed(&mut self, clock_day: u32) {
        let last = self.all.len() - 1;
        self.all[last].clock_day.get_or_insert(clock_day);
    }

    /// The one that goes first, if any may go.
    pub(super) fn oldest_removable(&self) -> Option<&DayFile> {
        (self.all.len() > 1).then(|| &self.all[0])
    }

    /// Octets of all files.
    pub(super) fn octets(&self) -> u64 {
        self.all.iter().map(DayFile::octets).sum()
    }

    /// Where they are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes the file of a new day, which begins with what `fill` writes in one transaction, and goes over to it. Killed at any
    /// point, either the former file or the new one is the newest, and both say the same.
    pub(super) fn begin(
        &mut self,
        connection: &Connection,
        fill: impl FnOnce(&Connection, &DayFile) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let path = self.directory.join(format!("flows-{}.duckdb", self.newest().day + 1));
        let unfinished = path.with_extension(NEW);
        remove_unfinished(&self.directory)?;
        connection.execute_batch(&format!("ATTACH '{}' AS unborn; USE unborn", quoted(&unfinished)))?;
        kill_point(1);
        let filled = fill(connection, self.newest()).and_then(|()| {
            kill_point(2);
            Ok(connection.execute_batch("CHECKPOINT unborn")?)
        });
        connection.execute_batch(&format!("USE \"{}\"; DETACH unborn", self.newest().name))?;
        filled?;
        kill_point(3);
        let failed = |source| Error::Directory { path: path.clone(), source };
        std::fs::File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
        std::fs::rename(&unfinished, &path).map_err(failed)?;
        kill_point(4);
        std::fs::File::open(&self.directory).and_then(|file| file.sync_all()).map_err(failed)?;
        let gate = self.gate();
        let _nobody_begins = gate.write().unwrap_or_else(PoisonError::into_inner);
        self.attach(connection, &path)?;
        self.enter(connection)?;
        kill_point(5);
        Ok(())
    }

    /// Removes the oldest file: `condemn` commits what is kept of it, and that it goes.
    pub(super) fn remove(
        &mut self,
        connection: &Connection,
        condemn: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let gate = self.gate();
        let _nobody_begins = gate.write().unwrap_or_else(PoisonError::into_inner);
        condemn()?;
        kill_point(6);
        self.remove_condemned(connection)
    }

    /// Detaches what was removed a while ago.
    pub(super) fn leave(&mut self, connection: &Connection, after: Duration) -> Result<(), Error> {
        for (name, _) in self.leaving.extract_if(.., |(_, since)| since.elapsed() >= after) {
            connection.execute_batch(&format!("DETACH \"{name}\""))?;
        }
        Ok(())
    }

    /// The same, of those whose time is over.
    pub(super) fn leave_when_unread(&mut self, connection: &Connection) -> Result<(), Error> {
        self.leave(connection, LEAVES_AFTER)
    }

    /// Takes condemned files out of sight and off the disk. The engine reads on in one that has no name any more.
    fn remove_condemned(&mut self, connection: &Connection) -> Result<(), Error> {
        let condemned = schema::removed_days(connection)?;
        let last = self.all.len() - 1;
        let gone: Vec<_> =
            self.all[..last].iter().filter(|file| condemned.contains(&file.day)).cloned().collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.all.retain(|file| gone.iter().all(|other| other.day != file.day));
        self.show(connection)?;
        for file in gone {
            kill_point(7);
            for path in [&file.path, &log_of(&file.path)] {
                match std::fs::remove_file(path) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(source) => return Err(Error::Directory { path: path.clone(), source }),
                }
                kill_point(8);
            }
            self.leaving.push((file.name, Instant::now()));
        }
        Ok(())
    }

    fn attach(&mut self, connection: &Connection, path: &Path) -> Result<(), Error> {
        let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let name = stem.replace('-', "_");
        connection.execute_batch(&format!("ATTACH '{}' AS \"{name}\"; USE \"{name}\"", quoted(path)))?;
        schema::make_where_missing(connection, &name)?;
        migrate::migrate(connection, path, &name)?;
        let (day, clock_day) = connection
            .query_row("SELECT day, clock_day FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.all.push(DayFile { day, clock_day, name, path: path.to_owned() });
        Ok(())
    }

    /// The writer stands in the newest file; everybody else sees the views.
    fn enter(&self, connection: &Connection) -> Result<(), Error> {
        self.show(connection)?;
        Ok(connection.execute_batch(&format!("USE \"{}\"", self.newest().name))?)
    }

    fn show(&self, connection: &Connection) -> Result<(), Error> {
        let mut text = String::from("BEGIN;");
        for table in schema::TABLES_OF_THE_NEWEST {
            let name = &self.newest().name;
            text.push_str(&format!(
                "CREATE OR REPLACE VIEW memory.main.{table} AS SELECT * FROM \"{name}\".main.{table};"
            ));
        }
        for (view, table) in schema::TABLES_OF_ALL {
            let columns = schema::columns_of(table);
            let parts: Vec<_> = self
                .all
                .iter()
                .map(|file| format!("SELECT {columns} FROM \"{}\".main.{table}", file.name))
                .collect();
            let union = parts.join(" UNION ALL ");
            text.push_str(&format!("CREATE OR REPLACE VIEW memory.main.{view} AS {union};"));
        }
        text.push_str("COMMIT");
        Ok(connection.execute_batch(&text)?)
    }
}

/// An engine without a file of its own. A query can neither read files elsewhere nor load code, whatever it says.
fn engine(directory: &Path) -> Result<Connection, Error> {
    let config = Config::default().enable_autoload_extension(false)?.max_memory(MEMORY_MAX)?;
    let connection = Connection::open_in_memory_with_flags(config)?;
    let directory = quoted(directory);
    connection.execute_batch(&format!(
        "SET temp_directory = '{directory}/spill'; SET allowed_directories = ['{directory}'];
         SET enable_external_access = false"
    ))?;
    Ok(connection)
}

/// The files that are whole, in no order.
fn paths(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let is_one = |name: &str| {
        let day = name.strip_prefix("flows-").and_then(|rest| rest.strip_suffix(".duckdb"));
        name == FIRST || day.is_some_and(|day| day.parse::<u32>().is_ok())
    };
    Ok(entries(directory)?
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| is_one(&name.to_string_lossy())))
        .collect())
}

/// A new file that never got its name: nothing is in it that is not in the one before.
fn remove_unfinished(directory: &Path) -> Result<(), Error> {
    for path in entries(directory)? {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        if name.starts_with("flows-") && (name.ends_with(".new") || name.ends_with(".new.wal")) {
            std::fs::remove_file(&path).map_err(|source| Error::Directory { path, source })?;
        }
    }
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Directory { path: directory.to_owned(), source };
    let found = std::fs::read_dir(directory).map_err(failed)?;
    found.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)
}

/// DuckDB's log beside a file.
fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".wal");
    name.into()
}

/// For a literal.
fn quoted(path: &Path) -> String {
    path.to_string_lossy().replace('\'', "''")
}
