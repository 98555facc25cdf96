//! Time, and who this is: what of `os` a script needs, and some small calls of ntopng's.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _, Utc};
use mlua::{Lua, Table, Value};

use super::super::child::Context;

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

pub(super) fn install(lua: &Lua, ntop: &Table, context: &Rc<Context>) -> mlua::Result<()> {
    ntop.raw_set("gettimemsec", lua.create_function(|_, ()| Ok(now().as_secs_f64()))?)?;
    let of = Rc::clone(context);
    let sleep = move |_: &Lua, milliseconds: f64| {
        let wanted = Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or_default();
        std::thread::sleep(wanted.min(of.left()));
        Ok(())
    };
    ntop.raw_set("msleep", lua.create_function(sleep)?)?;
    let info = lua.create_table()?;
    info.raw_set("product", "gannet-collector")?;
    info.raw_set("version", env!("CARGO_PKG_VERSION"))?;
    ntop.raw_set("getInfo", lua.create_function(move |_, ()| Ok(info.clone()))?)?;
    let directories = lua.create_table()?;
    for name in ["installdir", "workingdir", "scriptdir"] {
        directories.raw_set(name, context.load.directory.as_str())?;
    }
    ntop.raw_set("getDirs", lua.create_function(move |_, ()| Ok(directories.clone()))?)?;
    ntop.raw_set("isPro", lua.create_function(|_, ()| Ok(false))?)?;
    lua.globals().raw_set("os", os(lua)?)
}

fn os(lua: &Lua) -> mlua::Result<Table> {
    let os = lua.create_table()?;
    os.raw_set(
        "time",
        lua.create_function(|_, fields: Option<Table>| {
            fields.map_or_else(|| Ok(now().as_secs().cast_signed()), |fields| time(&fields))
        })?,
    )?;
    os.raw_set(
        "date",
        lua.create_function(|lua, (format, at): (Option<String>, Option<f64>)| date(lua, format, at))?,
    )?;
    let begun = Instant::now();
    os.raw_set("clock", lua.create_function(move |_, ()| Ok(begun.elapsed().as_secs_f64()))?)?;
    os.raw_set("difftime", lua.create_function(|_, (one, other): (f64, f64)| Ok(one - other))?)?;
    Ok(os)
}

/// Seconds of a date in UTC; noon unless it says the hour, as in Lua.
fn time(fields: &Table) -> mlua::Result<i64> {
    let field = |name: &str| fields.get::<Option<i64>>(name);
    let (year, month, day) =
        (fields.get::<i32>("year")?, fields.get::<i64>("month")?, fields.get::<i64>("day")?);
    // Months and days beyond their ends go on, as in Lua.
    let first = i32::try_from((month - 1).div_euclid(12)).ok().and_then(|years| year.checked_add(years));
    let month = u32::try_from((month - 1).rem_euclid(12) + 1).unwrap_or(1);
    let first = first.and_then(|year| NaiveDate::from_ymd_opt(year, month, 1));
    let first = first.ok_or_else(|| mlua::Error::runtime("os.time: there is no such date"))?;
    let midnight = first.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc().timestamp();
    let (hour, minute, second) =
        (field("hour")?.unwrap_or(12), field("min")?.unwrap_or(0), field("sec")?.unwrap_or(0));
    let seconds = [(day - 1, 86_400), (hour, 3_600), (minute, 60), (second, 1)];
    let sum =
        seconds.iter().try_fold(midnight, |sum, (count, each)| sum.checked_add(count.checked_mul(*each)?));
    sum.ok_or_else(|| mlua::Error::runtime("os.time: the date is out of range"))
}

/// `*t`, or a format of strftime(3); `!` changes nothing, for all is UTC.
fn date(lua: &Lua, format: Option<String>, at: Option<f64>) -> mlua::Result<Value> {
    let seconds = at.map_or_else(|| now().as_secs().cast_signed(), |at| at as i64);
    let wrong = |what: &str| mlua::Error::runtime(format!("os.date: {what}"));
    let date: DateTime<Utc> =
        DateTime::from_timestamp(seconds, 0).ok_or_else(|| wrong("the time is out of range"))?;
    let format = format.unwrap_or_else(|| "%c".to_owned());
    let format = format.trim_start_matches('!');
    if !format.starts_with("*t") {
        let items: Vec<_> = chrono::format::StrftimeItems::new(format).collect();
        if items.contains(&chrono::format::Item::Error) {
            return Err(wrong("the format is none of strftime(3)"));
        }
        return Ok(Value::String(lua.create_string(date.format_with_items(items.into_iter()).to_string())?));
    }
    let table = lua.create_table()?;
    let numbers = [
        ("year", i64::from(date.year())),
        ("month", date.month().into()),
        ("day", date.day().into()),
        ("hour", date.hour().into()),
        ("min", date.minute().into()),
        ("sec", date.second().into()),
        ("wday", i64::from(date.weekday().num_days_from_sunday()) + 1),
        ("yday", date.ordinal().into()),
    ];
    for (name, number) in numbers {
        table.raw_set(name, number)?;
    }
    table.raw_set("isdst", false)?;
    Ok(Value::Table(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_those_of_utc() {
        let lua = Lua::new();
        lua.globals().set("os", os(&lua).unwrap()).unwrap();
        let eval = |code: &str| lua.load(code).eval::<String>().unwrap();
        assert_eq!(eval("return os.date('!%Y-%m-%dT%H:%M:%SZ', 1700000000)"), "2023-11-14T22:13:20Z");
        assert_eq!(eval("return tostring(os.time(os.date('*t', 1700000000)))"), "1700000000");
        assert_eq!(eval("return tostring(os.time{year=2023, month=11, day=14})"), "1699963200");
        assert_eq!(eval("return tostring(os.time{year=2023, month=14, day=1, hour=0})"), "1706745600");
        assert!(eval("return tostring(os.time())").parse::<u64>().unwrap() > 1_700_000_000);
        assert!(
            lua.load("return os.date('%Q')").exec().is_err() && lua.load("os.time{year=1}").exec().is_err()
        );
    }
}
