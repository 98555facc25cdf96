//! What scripts can call. Names and order of arguments are ntopng's (its Lua API, `ntop.*` and `interface.*`).

pub(super) mod flow;
mod http;
mod json;
mod kafka;
mod library;
mod modules;
mod stats;
mod talk;

use std::rc::Rc;

use mlua::Lua;

use super::child::Context;

pub(super) use kafka::Producers;

/// Puts all of it into a state.
pub(super) fn install(lua: &Lua, context: &Rc<Context>) -> mlua::Result<()> {
    let ntop = lua.create_table()?;
    talk::install(lua, &ntop, context)?;
    kafka::install(lua, &ntop, context)?;
    http::install(lua, &ntop, context)?;
    stats::install(lua, &ntop, context)?;
    library::install(lua, &ntop, context)?;
    modules::install(lua, context)?;
    lua.globals().raw_set("ntop", ntop)
}
