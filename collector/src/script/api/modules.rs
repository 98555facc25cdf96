//! `require`: modules that are built in, and files of the scripts' directory, which the host reads.

use std::rc::Rc;

use mlua::chunk::ChunkMode;
use mlua::{Lua, Table, Value};

use super::super::child::Context;
use super::super::protocol::Question;
use super::json;

pub(super) fn install(lua: &Lua, context: &Rc<Context>) -> mlua::Result<()> {
    let loaded = lua.create_table()?;
    for name in ["json", "dkjson"] {
        loaded.raw_set(name, json::module(lua)?)?;
    }
    // What it has in ntopng and scripts use is global here.
    loaded.raw_set("lua_utils", true)?;
    let package = lua.create_table()?;
    package.raw_set("loaded", &loaded)?;
    // Scripts for ntopng add to it; nothing is looked for there.
    package.raw_set("path", "")?;
    lua.globals().raw_set("package", package)?;
    let of = Rc::clone(context);
    lua.globals()
        .raw_set("require", lua.create_function(move |lua, name: String| require(lua, &of, &loaded, &name))?)
}

fn require(lua: &Lua, context: &Context, loaded: &Table, name: &str) -> mlua::Result<Value> {
    let known: Value = loaded.raw_get(name)?;
    if !known.is_nil() {
        return Ok(known);
    }
    let source = context.ask(Question::Module(name.to_owned())).map_err(mlua::Error::runtime)?;
    let source = source.ok_or_else(|| {
        mlua::Error::runtime(format!(
            "module '{name}' is neither modules/{name}.lua nor {name}.lua in --scripts-dir"
        ))
    })?;
    let chunk = lua.load(source).set_mode(ChunkMode::Text).set_name(format!("@{name}.lua"));
    let value = match chunk.call::<Value>(name)? {
        Value::Nil => Value::Boolean(true),
        value => value,
    };
    loaded.raw_set(name, &value)?;
    Ok(value)
}
