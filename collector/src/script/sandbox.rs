//! A Lua state in which a script can count, ask and send, and nothing else.

use std::rc::Rc;

use mlua::debug::Debug;
use mlua::{HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};

use super::api;
use super::child::Context;

/// Between two looks at the clock: some 50 us.
const INSTRUCTIONS: u32 = 10_000;

/// What a script hears that takes too long.
pub(super) const OVER: &str = "it took longer than --script-time-limit";

/// What the base library has and no script gets: code from elsewhere, and bytecode, which can break out of the machine.
const TAKEN: [&str; 4] = ["load", "loadstring", "loadfile", "dofile"];

/// A new one, with all that scripts may call.
pub(super) fn state(context: &Rc<Context>) -> mlua::Result<Lua> {
    let libraries = StdLib::COROUTINE | StdLib::TABLE | StdLib::STRING | StdLib::UTF8 | StdLib::MATH;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    let globals = lua.globals();
    for name in TAKEN {
        globals.raw_set(name, Value::Nil)?;
    }
    globals.get::<Table>("string")?.raw_set("dump", Value::Nil)?;
    api::install(&lua, context)?;
    lua.set_memory_limit(context.load.memory_octets)?;
    let clock = Rc::clone(context);
    let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
    lua.set_global_hook(triggers, move |_, at| match clock.left().is_zero() {
        true => Err(mlua::Error::runtime(over(at))),
        false => Ok(VmState::Continue),
    })?;
    Ok(lua)
}

/// With the place, as Lua's own errors have it.
fn over(at: &Debug<'_>) -> String {
    let source = at.source().short_src.unwrap_or_default().into_owned();
    at.current_line().map_or_else(|| OVER.to_owned(), |line| format!("{source}:{line}: {OVER}"))
}
