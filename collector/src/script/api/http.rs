//! `ntop.httpGet`, `ntop.httpPost`: one request, one answer.

use std::rc::Rc;
use std::time::Duration;

use mlua::{Lua, LuaString, Table, Value, Variadic};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

use super::super::child::Context;

/// The longest answer that is read.
const CONTENT_OCTETS_MAX: u64 = 4 << 20;

/// What may follow URL and data, by ntopng's names and in its order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    username: Option<String>,
    password: Option<String>,
    timeout: Option<Duration>,
    return_content: bool,
    bearer: Option<String>,
    content_type: Option<String>,
}

impl Options {
    /// A table, or the arguments one by one.
    fn read(arguments: &[Value], returns_content: bool) -> mlua::Result<Self> {
        let named = match arguments {
            [Value::Table(table)] => Some(table),
            _ => None,
        };
        let value = |at: usize, name: &str| -> mlua::Result<Option<Value>> {
            match named {
                Some(table) => table.get::<Option<Value>>(name),
                None => Ok(arguments.get(at).cloned()),
            }
        };
        // ntopng: an empty user is none.
        let text = |value: Option<Value>| {
            value.and_then(|value| value.to_string().ok()).filter(|text| !text.is_empty() && text != "nil")
        };
        let seconds = value(2, "timeout")?.and_then(|value| value.as_f64()).filter(|seconds| *seconds > 0.0);
        let content = value(3, "return_content")?.and_then(|value| value.as_boolean());
        Ok(Self {
            username: text(value(0, "username")?),
            password: text(value(1, "password")?),
            timeout: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            return_content: content.unwrap_or(returns_content),
            bearer: text(value(usize::MAX, "bearer")?),
            content_type: text(value(usize::MAX, "content_type")?),
        })
    }

    fn authorization(&self) -> Option<String> {
        match (&self.bearer, &self.username) {
            (Some(bearer), _) => Some(format!("Bearer {bearer}")),
            (None, Some(user)) => {
                let pair = format!("{user}:{}", self.password.as_deref().unwrap_or_default());
                Some(format!("Basic {}", base64(pair.as_bytes())))
            }
            (None, None) => None,
        }
    }
}

/// RFC 4648, for `Authorization` alone.
fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for chunk in octets.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// The request, as far as nobody needs to be asked.
struct Request<'a> {
    url: &'a str,
    /// `None` = GET.
    data: Option<&'a [u8]>,
    options: Options,
}

impl Request<'_> {
    fn send(&self, context: &Context) -> Result<ureq::http::Response<Body>, String> {
        if !["http://", "https://"].iter().any(|scheme| self.url.starts_with(scheme)) {
            return Err(format!("'{}' begins with neither http:// nor https://", self.url));
        }
        let uri: ureq::http::Uri = self.url.parse().map_err(|error| format!("'{}': {error}", self.url))?;
        let port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(port));
        if !context.load.allowed.lets(host, port) {
            return Err(format!("--script-allow does not name {host}:{port}"));
        }
        let left = context.left();
        let agent = agent(self.options.timeout.map_or(left, |timeout| timeout.min(left)));
        let authorization = self.options.authorization();
        let headers =
            |(name, value): (&'static str, Option<&str>)| value.map(|value| (name, value.to_owned()));
        let authorization = headers(("authorization", authorization.as_deref()));
        let sent = match self.data {
            None => {
                let request = agent.get(self.url);
                authorization
                    .into_iter()
                    .fold(request, |request, (name, value)| request.header(name, value))
                    .call()
            }
            Some(data) => {
                let kind = self.options.content_type.as_deref().unwrap_or("application/json");
                let request = agent.post(self.url).header("content-type", kind);
                authorization
                    .into_iter()
                    .fold(request, |request, (name, value)| request.header(name, value))
                    .send(data)
            }
        };
        sent.map_err(|error| format!("'{}': {error}", self.url))
    }
}

/// Redirections are not followed: they would lead past `--script-allow`. An environment's proxy is not ours.
fn agent(timeout: Duration) -> Agent {
    let tls =
        TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .proxy(None)
        .tls_config(tls)
        .user_agent(concat!("gannet-collector/", env!("CARGO_PKG_VERSION")));
    config.build().new_agent()
}

/// ntopng's table of an answer.
fn answer(lua: &Lua, request: &Request<'_>, mut response: ureq::http::Response<Body>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("RESPONSE_CODE", response.status().as_u16())?;
    table.raw_set("EFFECTIVE_URL", request.url)?;
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    table.raw_set("CONTENT_TYPE", kind.unwrap_or_default())?;
    if request.options.return_content {
        let read = response.body_mut().with_config().limit(CONTENT_OCTETS_MAX).read_to_vec();
        let content = read.map_err(|error| mlua::Error::runtime(format!("'{}': {error}", request.url)))?;
        table.raw_set("CONTENT_LEN", content.len())?;
        table.raw_set("CONTENT", lua.create_string(content)?)?;
    }
    Ok(table)
}

fn call(
    lua: &Lua,
    context: &Context,
    request: &Request<'_>,
) -> mlua::Result<(Option<Table>, Option<String>)> {
    match request.send(context) {
        Ok(response) => Ok((Some(answer(lua, request, response)?), None)),
        Err(why) => Ok((None, Some(why))),
    }
}

pub(super) fn install(lua: &Lua, ntop: &Table, context: &Rc<Context>) -> mlua::Result<()> {
    let of = Rc::clone(context);
    let get = move |lua: &Lua, (url, rest): (String, Variadic<Value>)| {
        let request = Request { url: &url, data: None, options: Options::read(&rest, true)? };
        call(lua, &of, &request)
    };
    ntop.raw_set("httpGet", lua.create_function(get)?)?;
    let of = Rc::clone(context);
    let post = move |lua: &Lua, (url, data, rest): (String, LuaString, Variadic<Value>)| {
        let request =
            Request { url: &url, data: Some(&data.as_bytes()), options: Options::read(&rest, false)? };
        call(lua, &of, &request)
    };
    ntop.raw_set("httpPost", lua.create_function(post)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_one_by_one_or_by_name() {
        let lua = Lua::new();
        let read = |code: &str| {
            let values: Variadic<Value> = lua.load(code).eval().unwrap();
            Options::read(&values, false).unwrap()
        };
        let timeout = Some(Duration::from_millis(1_500));
        assert_eq!(
            read("return '', nil, 1.5, true"),
            Options { timeout, return_content: true, ..Options::default() }
        );
        let both = read("return {username = 'u', password = 'p', return_content = true, timeout = 1.5}");
        assert_eq!(both, read("return 'u', 'p', 1.5, true"));
        // RFC 7617 2
        let known =
            Options { username: Some("Aladdin".into()), password: Some("open sesame".into()), ..both };
        assert_eq!(known.authorization().as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert_eq!(read("return {bearer = 't'}").authorization().as_deref(), Some("Bearer t"));
        assert_eq!(read("return").authorization(), None);
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let known = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (octets, text) in known {
            assert_eq!(base64(octets.as_bytes()), text);
        }
    }
}
