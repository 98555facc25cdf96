//! JSON and Lua: `require "json"`, answers of the API, tables of ours.

use mlua::{Lua, Table, Value as Lv};
use serde_json::{Map, Number, Value};

/// Tables in tables; Lua's may contain themselves.
const DEPTH_MAX: usize = 64;

/// As Lua has it: `null` is `nil`, so that a key with it is not there.
pub(super) fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<Lv> {
    Ok(match value {
        Value::Null => Lv::Nil,
        Value::Bool(value) => Lv::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Lv::Integer(integer),
            None => Lv::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Lv::String(lua.create_string(text)?),
        Value::Array(values) => {
            let table = lua.create_table_with_capacity(values.len(), 0)?;
            for (at, value) in values.iter().enumerate() {
                table.raw_set(at + 1, to_lua(lua, value)?)?;
            }
            Lv::Table(table)
        }
        Value::Object(pairs) => {
            let table = lua.create_table_with_capacity(0, pairs.len())?;
            for (key, value) in pairs {
                table.raw_set(key.as_str(), to_lua(lua, value)?)?;
            }
            Lv::Table(table)
        }
    })
}

/// As JSON has it: a table with a first element is an array, any other an object.
pub(super) fn of_lua(value: &Lv) -> mlua::Result<Value> {
    of_lua_within(value, DEPTH_MAX)
}

fn of_lua_within(value: &Lv, depth: usize) -> mlua::Result<Value> {
    let bad = |what: &str| Err(mlua::Error::runtime(format!("JSON has no {what}")));
    Ok(match value {
        Lv::Nil => Value::Null,
        Lv::Boolean(value) => Value::Bool(*value),
        Lv::Integer(integer) => Value::Number((*integer).into()),
        Lv::Number(number) => match Number::from_f64(*number) {
            Some(number) => Value::Number(number),
            None => return bad("number that is none, or without end"),
        },
        Lv::String(text) => Value::String(text.to_string_lossy()),
        Lv::Table(_) if depth == 0 => return bad("table that contains itself"),
        Lv::Table(table) => of_table(table, depth - 1)?,
        other => return bad(other.type_name()),
    })
}

fn of_table(table: &Table, depth: usize) -> mlua::Result<Value> {
    if table.raw_len() > 0 {
        let values = table.sequence_values::<Lv>().map(|value| of_lua_within(&value?, depth));
        return values.collect::<mlua::Result<Vec<_>>>().map(Value::Array);
    }
    let mut object = Map::new();
    for pair in table.pairs::<Lv, Lv>() {
        let (key, value) = pair?;
        let key = match key {
            Lv::String(text) => text.to_string_lossy(),
            Lv::Integer(integer) => integer.to_string(),
            other => return Err(mlua::Error::runtime(format!("a key of JSON is no {}", other.type_name()))),
        };
        object.insert(key, of_lua_within(&value, depth)?);
    }
    Ok(Value::Object(object))
}

/// The module.
pub(super) fn module(lua: &Lua) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    let encode = |_: &Lua, value: Lv| Ok(of_lua(&value)?.to_string());
    // As dkjson: what cannot be read is nil, a place, and a sentence.
    let decode = |lua: &Lua, text: mlua::LuaString| match serde_json::from_slice::<Value>(&text.as_bytes()) {
        Ok(value) => Ok((to_lua(lua, &value)?, None, None)),
        Err(error) => Ok((Lv::Nil, Some(error.column()), Some(error.to_string()))),
    };
    module.raw_set("encode", lua.create_function(encode)?)?;
    module.raw_set("decode", lua.create_function(decode)?)?;
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_way_there_and_back() {
        let lua = Lua::new();
        let text = r#"{"a":[1,2.5,"x",true],"b":{"c":9007199254740993},"d":-1}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(of_lua(&to_lua(&lua, &value).unwrap()).unwrap().to_string(), text);
        lua.globals().set("json", module(&lua).unwrap()).unwrap();
        let said: String =
            lua.load("local t = json.decode('{\"a\":null,\"b\":[]}'); return json.encode(t)").eval().unwrap();
        assert_eq!(said, r#"{"b":{}}"#);
        let (value, place, why): (Lv, Option<i64>, Option<String>) =
            lua.load("return json.decode('{')").eval().unwrap();
        assert!(value.is_nil() && place.is_some() && why.is_some());
        for wrong in ["local t = {}; t.t = t; json.encode(t)", "json.encode(print)", "json.encode(0/0)"] {
            assert!(lua.load(wrong).exec().is_err(), "{wrong}");
        }
    }
}
