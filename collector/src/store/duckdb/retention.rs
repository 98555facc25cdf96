//! When a new file begins, and when the oldest one goes.

use duckdb::Connection;

use super::super::{Error, Room};
use super::files::Files;
use super::{books, schema};

/// Days that are kept unless the user says otherwise.
pub const RETENTION_DAYS: u32 = 30;

/// Of what the store could have, its own octets and what is free beside it: above this the oldest file goes, whatever its age.
const DISK_SHARE_PERCENT: u64 = 80;

/// Whole days since the UNIX epoch.
pub(super) fn clock_day(nanoseconds: u64) -> u32 {
    (nanoseconds / (86_400 * 1_000_000_000)) as u32
}

/// Begins a new file where the clock shows another day than at the first commit of the newest one.
pub(super) fn begin_day(connection: &Connection, files: &mut Files, clock_day: u32) -> Result<(), Error> {
    if files.newest().clock_day.is_none_or(|day| day == clock_day) {
        return Ok(());
    }
    let cuts = books::cuts(connection)?;
    files.begin(connection, |connection, from| schema::fill(connection, &from.name, clock_day, &cuts))?;
    tracing::info!(day = files.newest().day, "a new day: a new file");
    Ok(())
}

/// Removes the oldest files: those above the age, and then as many as the disk asks for. The newest stays.
pub(super) fn enforce(connection: &Connection, files: &mut Files, days: u32) -> Result<(), Error> {
    files.leave_when_unread(connection)?;
    while let Some(oldest) = files.oldest_removable() {
        let day = oldest.day;
        let age = files.newest().day - day;
        let why = if age >= days {
            format!("it is older than {days} days (--retention)")
        } else if let Some(share) = crowded(files)? {
            format!("the store has {share} % of the disk's room, more than {DISK_SHARE_PERCENT} %")
        } else {
            return Ok(());
        };
        let cuts = books::cuts(connection)?;
        files.remove(connection, || schema::condemn(connection, day, &cuts))?;
        tracing::info!(day, "the oldest file is removed: {why}");
    }
    Ok(())
}

/// The share of the store, where it is too large.
fn crowded(files: &Files) -> Result<Option<u64>, Error> {
    let (octets, free) = (files.octets(), Room::of(files.directory())?.free);
    Ok(share(octets, free))
}

fn share(octets: u64, free: u64) -> Option<u64> {
    let share = u128::from(octets) * 100 / u128::from(octets.saturating_add(free).max(1));
    u64::try_from(share).ok().filter(|share| *share > DISK_SHARE_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_what_the_store_could_have() {
        assert_eq!(share(80, 20), None);
        assert_eq!(share(82, 18), Some(82));
        assert_eq!(share(0, 0), None);
        assert_eq!(share(u64::MAX, 0), Some(100));
    }
}
