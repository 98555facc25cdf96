//! The page: static files inside the program, one answer for each path.
//!
//! ```text
//! /              static/index.html       no build step, nothing from elsewhere: README.md beside this file
//! /main.js ..    static/main.js ..
//! ```
//!
//! The API's router asks here for every path that is not its own; what is no file here either is its 404.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "ui/static"]
struct Files;

/// Nothing but what this server sends may run or be loaded, and no other page may frame this one.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The file at this path of the URL, or 304 when the browser has it; `None` when there is no such file.
///
/// Browsers ask again each time (`no-cache`) and mostly hear 304: the page of a new version is never mixed with the old.
pub fn file(path: &str, if_none_match: Option<&HeaderValue>) -> Option<Response> {
    let path = if path == "/" { "index.html" } else { path.strip_prefix('/')? };
    let file = Files::get(path)?;
    let tag = tag(&file.metadata.sha256_hash());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type(path))),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    let known = if_none_match.is_some_and(|theirs| theirs.as_bytes() == tag.as_bytes());
    let body = if known { StatusCode::NOT_MODIFIED.into_response() } else { file.data.into_response() };
    let etag: [(HeaderName, String); 1] = [(header::ETAG, tag)];
    Some((etag, headers, body).into_response())
}

/// 64 bits of the content's hash: enough to tell the versions of one file apart.
fn tag(hash: &[u8; 32]) -> String {
    let digits: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        // Browsers refuse a module of any other type.
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests;
