//! What a script tells people and other scripts: the log, alerts, the cache.

use std::rc::Rc;

use mlua::{Lua, Table, Value, Variadic};

use super::super::child::Context;
use super::super::protocol::{Level, Question, Said};
use super::json::of_lua;

/// The longest line that is logged.
const LINE_CHARACTERS_MAX: usize = 4_096;

/// ntopng's levels of `traceError`.
const TRACES: [(&str, i64); 6] = [
    ("TRACE_ERROR", 0),
    ("TRACE_WARNING", 1),
    ("TRACE_NORMAL", 2),
    ("TRACE_INFO", 3),
    ("TRACE_DEBUG", 6),
    ("TRACE_CONSOLE", 0),
];

fn level_of_trace(trace: i64) -> Level {
    match trace {
        ..=0 => Level::Error,
        1 => Level::Warn,
        2 | 3 => Level::Info,
        _ => Level::Debug,
    }
}

fn level_named(name: Option<&str>, otherwise: Level) -> Level {
    match name {
        Some("error" | "critical" | "emergency") => Level::Error,
        Some("warning" | "warn") => Level::Warn,
        Some("info" | "notice" | "normal") => Level::Info,
        Some("debug") => Level::Debug,
        _ => otherwise,
    }
}

/// As `print` has them; control characters would let a script write lines of the log that are not its own.
fn line(values: &[Value], between: &str) -> mlua::Result<String> {
    let texts = values.iter().map(Value::to_string).collect::<mlua::Result<Vec<_>>>()?;
    Ok(clean(&texts.join(between)))
}

fn clean(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\t' { ' ' } else { c };
    text.trim_end().chars().take(LINE_CHARACTERS_MAX).map(shown).collect()
}

pub(super) fn install(lua: &Lua, ntop: &Table, context: &Rc<Context>) -> mlua::Result<()> {
    log(lua, ntop, context)?;
    cache(lua, ntop, context)?;
    let of = Rc::clone(context);
    let alert = move |_: &Lua, (text, severity): (Value, Option<String>)| {
        let level = level_named(severity.as_deref(), Level::Warn);
        of.say(&Said::Alert(level, format!("alert: {}", line(&[text], "")?)));
        Ok(())
    };
    ntop.raw_set("alert", lua.create_function(alert)?)
}

fn log(lua: &Lua, ntop: &Table, context: &Rc<Context>) -> mlua::Result<()> {
    let globals = lua.globals();
    for (name, value) in TRACES {
        globals.raw_set(name, value)?;
    }
    let lines = |between: &'static str| {
        let of = Rc::clone(context);
        lua.create_function(move |_, values: Variadic<Value>| {
            of.log(Level::Info, line(&values, between)?);
            Ok(())
        })
    };
    globals.raw_set("print", lines("\t")?)?;
    let io = lua.create_table()?;
    io.raw_set("write", lines("")?)?;
    globals.raw_set("io", io)?;
    let of = Rc::clone(context);
    let trace = move |_: &Lua, (trace, _console, text): (i64, Value, Value)| {
        of.log(level_of_trace(trace), line(&[text], "")?);
        Ok(())
    };
    globals.raw_set("traceError", lua.create_function(trace)?)?;
    let of = Rc::clone(context);
    let tprint = move |_: &Lua, value: Value| {
        of.log(Level::Info, clean(&of_lua(&value)?.to_string()));
        Ok(())
    };
    globals.raw_set("tprint", lua.create_function(tprint)?)?;
    let of = Rc::clone(context);
    let log = move |_: &Lua, (text, level): (Value, Option<String>)| {
        of.log(level_named(level.as_deref(), Level::Info), line(&[text], "")?);
        Ok(())
    };
    ntop.raw_set("log", lua.create_function(log)?)
}

/// Text, as in the Redis that ntopng has for it; what is not there is an empty one.
fn cache(lua: &Lua, ntop: &Table, context: &Rc<Context>) -> mlua::Result<()> {
    let of = Rc::clone(context);
    let set = move |_: &Lua, (key, value, seconds): (Value, Value, Option<f64>)| {
        // `as` saturates: what is too long is for ever, what is below a second one.
        let seconds = seconds.map_or(0, |seconds| (seconds.ceil() as u32).max(1));
        let set = of.ask(Question::SetCache { key: key.to_string()?, value: value.to_string()?, seconds });
        Ok((set.is_ok(), set.err()))
    };
    ntop.raw_set("setCache", lua.create_function(set)?)?;
    let of = Rc::clone(context);
    let get = move |_: &Lua, key: Value| {
        Ok(of.ask(Question::GetCache(key.to_string()?)).ok().flatten().unwrap_or_default())
    };
    ntop.raw_set("getCache", lua.create_function(get)?)?;
    let of = Rc::clone(context);
    let remove = move |_: &Lua, key: Value| Ok(of.ask(Question::DelCache(key.to_string()?)).is_ok());
    ntop.raw_set("delCache", lua.create_function(remove)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_cannot_write_another_line_of_the_log() {
        let lua = Lua::new();
        let text = Value::String(lua.create_string("a\n2026-01-01 ERROR \x1b[31mb\n").unwrap());
        assert_eq!(line(&[text, Value::Integer(3)], "\t").unwrap(), "a 2026-01-01 ERROR  [31mb \t3");
        assert_eq!(clean(&"x".repeat(9_999)).len(), LINE_CHARACTERS_MAX);
    }

    #[test]
    fn levels_are_those_of_ntopng() {
        let levels = [0, 1, 2, 3, 6].map(level_of_trace);
        assert_eq!(levels, [Level::Error, Level::Warn, Level::Info, Level::Info, Level::Debug]);
        assert_eq!(level_named(Some("error"), Level::Warn), Level::Error);
        assert_eq!(level_named(None, Level::Warn), Level::Warn);
    }
}
