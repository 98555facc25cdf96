//! From HTTP to the service and back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use super::service::{Problem, Service};
use crate::ingest::now_nanoseconds;
use crate::query::BadParameter;
use crate::store;

/// Queries that run at the same time: the store has to take rows meanwhile.
const QUERIES_MAX: usize = 4;

/// Watchers of a kind (`/health`, `/metrics`) that are answered at the same time. They never wait behind queries that take
/// their time, nor behind each other: else slow queries would have a collector restarted that is well.
const WATCHERS_MAX: usize = 2;

/// All paths of the API, in the order of API.md.
pub const PATHS: [&str; 9] = [
    "/api/v1/flows",
    "/api/v1/top",
    "/api/v1/timeseries",
    "/api/v1/now",
    "/api/v1/probes",
    "/api/v1/ledger",
    "/health",
    "/metrics",
    "/openapi.json",
];

#[derive(Clone)]
struct App {
    service: Arc<Service>,
    queries: Arc<Semaphore>,
    health: Arc<Semaphore>,
    metrics: Arc<Semaphore>,
}

impl App {
    fn new(service: Arc<Service>) -> Self {
        let permits = |count| Arc::new(Semaphore::new(count));
        let (health, metrics) = (permits(WATCHERS_MAX), permits(WATCHERS_MAX));
        Self { service, queries: permits(QUERIES_MAX), health, metrics }
    }

    fn permits(&self, path: &str) -> &Semaphore {
        match path {
            "/health" => &self.health,
            "/metrics" => &self.metrics,
            _ => &self.queries,
        }
    }
}

/// The router for a server that listens there.
pub fn router(service: Arc<Service>, listens: SocketAddr) -> Router {
    routes(App::new(service), listens)
}

fn routes(app: App, listens: SocketAddr) -> Router {
    let mut router = Router::new();
    for path in PATHS {
        let handler = move |State(app): State<App>, query| answer(app, path, query);
        router = router.route(path, get(handler));
    }
    router
        .fallback(page)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn(secure))
        .layer(from_fn_with_state(listens, same_host))
        .with_state(app)
}

type Pairs = Result<Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>;

async fn answer(app: App, path: &'static str, query: Pairs) -> Response {
    let Ok(Query(pairs)) = query else {
        let bad =
            BadParameter::new("", "", "the query string cannot be read", "percent-encode names and values");
        return refused(StatusCode::BAD_REQUEST, &bad);
    };
    // Closed by nobody: it lives as long as the router.
    let _permit = app.permits(path).acquire().await;
    let service = Arc::clone(&app.service);
    let answered = tokio::task::spawn_blocking(move || match path {
        "/health" => {
            let (well, text) = service.health();
            let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            body(status, "application/json", text)
        }
        _ => match service.answer(path, &pairs, now_nanoseconds()) {
            Ok(text) => body(StatusCode::OK, content_type(path), text),
            Err(problem) => problem_of(path, &problem),
        },
    });
    answered.await.unwrap_or_else(|error| {
        tracing::error!(path, "query ended unexpectedly: {error}");
        let bad = BadParameter::new("", "", "the query ended unexpectedly", "see the collector's log");
        refused(StatusCode::INTERNAL_SERVER_ERROR, &bad)
    })
}

/// Every other path: a file of the page, or nothing.
async fn page(request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return not_allowed().await;
    }
    let known = request.headers().get(header::IF_NONE_MATCH);
    crate::ui::file(request.uri().path(), known).unwrap_or_else(|| {
        let bad = BadParameter::new("path", request.uri().path(), "nothing is here", "see /openapi.json");
        refused(StatusCode::NOT_FOUND, &bad)
    })
}

async fn not_allowed() -> Response {
    let bad = BadParameter::new("method", "", "only GET is answered", "use GET");
    refused(StatusCode::METHOD_NOT_ALLOWED, &bad)
}

fn problem_of(path: &str, problem: &Problem) -> Response {
    let (status, bad) = match problem {
        Problem::Bad(bad) => (StatusCode::BAD_REQUEST, bad.clone()),
        Problem::Unknown(_) => (
            StatusCode::NOT_FOUND,
            BadParameter::new("path", path, &problem.to_string(), "see /openapi.json"),
        ),
        Problem::Store(error @ store::Error::Buckets { .. }) => (
            StatusCode::BAD_REQUEST,
            BadParameter::new("step", "", &error.to_string(), "give step=1m, 1h or 1d"),
        ),
        Problem::Store(error @ (store::Error::Overflow | store::Error::Timeout(_))) => {
            (StatusCode::BAD_REQUEST, BadParameter::new("from", "", &error.to_string(), "give from and to"))
        }
        Problem::Store(_) | Problem::Json(_) => {
            tracing::error!(path, "query failed: {problem}");
            let bad = BadParameter::new("", "", &problem.to_string(), "see the collector's log");
            (StatusCode::INTERNAL_SERVER_ERROR, bad)
        }
    };
    refused(status, &bad)
}

fn refused(status: StatusCode, bad: &BadParameter) -> Response {
    // A struct of strings cannot fail to be written.
    body(status, "application/json", serde_json::to_string(bad).unwrap_or_default())
}

fn body(status: StatusCode, content_type: &'static str, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, content_type)], Body::from(text)).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path {
        "/metrics" => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        _ => "application/json",
    }
}

/// What the page says of itself stays; everything else is data that no browser should run, frame or keep.
async fn secure(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A server on loopback answers to loopback's names only: else any web site could have the browser read it, under a name
/// of its own that it lets point here (DNS rebinding).
async fn same_host(State(listens): State<SocketAddr>, request: Request, next: Next) -> Response {
    if listens.ip().is_loopback() && !is_address_or_localhost(request.headers()) {
        let bad = BadParameter::new("Host", "", "another host's name", "use localhost or the address");
        return refused(StatusCode::FORBIDDEN, &bad);
    }
    next.run(request).await
}

fn is_address_or_localhost(headers: &HeaderMap) -> bool {
    // A client without the header is no browser.
    let Some(host) = headers.get(header::HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
