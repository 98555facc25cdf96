//! `ntop.getStats`, `interface.getStats`, `ntop.get`: what the API shows.

use std::rc::Rc;

use mlua::{Lua, Table, Value as Lv};
use serde_json::{Value, json};

use super::super::child::Context;
use super::super::protocol::Question;
use super::json::{of_lua, to_lua};

/// Over which rates are taken.
const RATE_SECONDS: &str = "10";

fn ask(context: &Context, path: &str, pairs: Vec<(String, String)>) -> mlua::Result<Value> {
    let answer = context.ask(Question::Api { path: path.to_owned(), pairs });
    let text = answer.map_err(|why| mlua::Error::runtime(format!("{path}: {why}")))?.unwrap_or_default();
    serde_json::from_str(&text).map_err(|error| mlua::Error::runtime(format!("{path}: {error}")))
}

/// Three answers, as one small one.
fn all(context: &Context) -> mlua::Result<Value> {
    let ledger = ask(context, "/api/v1/ledger", Vec::new())?;
    let probes = ask(context, "/api/v1/probes", Vec::new())?;
    let seconds = vec![("seconds".to_owned(), RATE_SECONDS.to_owned())];
    let now = ask(context, "/api/v1/now", seconds)?;
    Ok(summary(&ledger, &probes, &now))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn summary(ledger: &Value, probes: &Value, now: &Value) -> Value {
    let (known, epochs) = (list(&probes["probes"]), list(&ledger["epochs"]));
    let stored = |name: &str| known.iter().filter_map(|probe| probe["stored"][name].as_u64()).sum::<u64>();
    let seen =
        |unit: &str| epochs.iter().filter_map(|epoch| epoch["total"]["seen"][unit].as_u64()).sum::<u64>();
    json!({
        "flows": stored("records"), "packets": stored("packets"), "octets": stored("octets"),
        "seen_packets": seen("packets"), "seen_octets": seen("octets"),
        "lost": ledger["lost"], "residual": ledger["residual"], "verdict": ledger["verdict"],
        "packets_per_second": rate(now, "seen_packets"), "octets_per_second": rate(now, "seen_octets"),
        "probes": probes["probes"],
    })
}

/// Of all probes together.
fn rate(now: &Value, counter: &str) -> f64 {
    let of_probe = |probe: &Value| {
        let seconds = list(&probe["seconds"]);
        let sum = |name: &str| seconds.iter().filter_map(|second| second[name].as_f64()).sum::<f64>();
        let nanoseconds = sum("interval_nanoseconds");
        if nanoseconds > 0.0 { sum(counter) * 1e9 / nanoseconds } else { 0.0 }
    };
    list(&now["probes"]).iter().map(of_probe).sum()
}

/// By ntopng's names.
fn as_interface(stats: &Value) -> Value {
    let per_second = |name: &str| stats[name].as_f64().unwrap_or(0.0);
    let probes = list(&stats["probes"]).iter().filter(|probe| probe["state"] == "open").count();
    json!({
        "id": 0, "name": "gannet", "description": "all probes", "probes": probes,
        "stats": {
            "packets": stats["packets"], "bytes": stats["octets"], "flows": stats["flows"],
            "drops": stats["lost"]["packets"],
        },
        "throughput_pps": per_second("packets_per_second"), "throughput_bps": per_second("octets_per_second") * 8.0,
    })
}

pub(super) fn install(lua: &Lua, ntop: &Table, context: &Rc<Context>) -> mlua::Result<()> {
    let of = Rc::clone(context);
    ntop.raw_set("getStats", lua.create_function(move |lua, ()| to_lua(lua, &all(&of)?))?)?;
    let of = Rc::clone(context);
    let get = move |lua: &Lua, (path, words): (String, Option<Table>)| {
        let mut pairs = Vec::new();
        for pair in words.iter().flat_map(Table::pairs::<String, Lv>) {
            let (name, value) = pair?;
            pairs.push((
                name,
                match of_lua(&value)? {
                    Value::String(text) => text,
                    other => other.to_string(),
                },
            ));
        }
        to_lua(lua, &ask(&of, &path, pairs)?)
    };
    ntop.raw_set("get", lua.create_function(get)?)?;
    let interface = lua.create_table()?;
    let of = Rc::clone(context);
    interface
        .raw_set("getStats", lua.create_function(move |lua, ()| to_lua(lua, &as_interface(&all(&of)?)))?)?;
    interface.raw_set("getId", lua.create_function(|_, ()| Ok(0))?)?;
    // There is one: all probes. Scripts for ntopng choose theirs by this.
    interface.raw_set("select", lua.create_function(|_, _: Lv| Ok(()))?)?;
    lua.globals().raw_set("interface", interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_rates_are_those_of_all_probes() {
        let second = |packets: u64| json!({"seen_packets": packets, "seen_octets": 2, "interval_nanoseconds": 500_000_000});
        let now = json!({"probes": [{"seconds": [second(3), second(5)]}, {"seconds": [second(1)]}, {"seconds": []}]});
        let probe = json!({"state": "open", "stored": {"records": 2, "packets": 10, "octets": 600}});
        let epoch = json!({"total": {"seen": {"packets": 11, "octets": 700}}});
        let ledger = json!({"verdict": "open", "lost": {"packets": 1}, "residual": {"packets": 0}, "epochs": [epoch, epoch]});
        let stats = summary(&ledger, &json!({"probes": [probe, probe]}), &now);
        assert_eq!(
            (&stats["flows"], &stats["packets"], &stats["seen_packets"]),
            (&json!(4), &json!(20), &json!(22))
        );
        assert_eq!((&stats["packets_per_second"], &stats["octets_per_second"]), (&json!(10.0), &json!(8.0)));
        let interface = as_interface(&stats);
        assert_eq!(interface["stats"], json!({"packets": 20, "bytes": 1200, "flows": 4, "drops": 1}));
        assert_eq!((&interface["throughput_bps"], &interface["probes"]), (&json!(64.0), &json!(2)));
    }
}
