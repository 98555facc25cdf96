//! A schema registry for tests, as far as Confluent's REST is documented for what a producer and its readers ask: register, look up, fetch. It keeps
//! schemas by their text and judges none; that it is like the real one is Confluent's client's word, which registers and reads here as well.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

/// Ends with the process.
pub(crate) struct Registry {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Subject and what was posted; the id is the place, from 1.
    schemas: Vec<(String, Value)>,
    asked: Vec<Asked>,
    /// What every registration is answered with, instead of an id.
    refusal: Option<(u16, &'static str)>,
}

/// A registration as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// In small letters.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Value,
}

impl Registry {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(client.unwrap(), &shared));
            }
        });
        Self { url, state }
    }

    /// From now on.
    pub(crate) fn refuse(&self, refusal: Option<(u16, &'static str)>) {
        self.lock().refusal = refusal;
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// One request a connection.
fn serve(client: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|octets| *octets > 0)?;
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let headers: Vec<String> = head[1..].iter().map(|line| line.to_lowercase()).collect();
    let length = headers.iter().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |text| text.trim().parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut words = head[0].split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let (status, answer) = answer(state, (method, path), Asked { path: path.to_owned(), headers, body });
    let text = answer.to_string();
    let mut client = client;
    write!(
        client,
        "HTTP/1.1 {status} x\r\ncontent-type: application/vnd.schemaregistry.v1+json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{text}",
        text.len()
    )
    .ok()
}

fn answer(state: &Mutex<State>, (method, path): (&str, &str), asked: Asked) -> (u16, Value) {
    let mut state = state.lock().unwrap();
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method, &parts[..]) {
        ("POST", ["subjects", subject, "versions"]) => {
            state.asked.push(asked.clone());
            if let Some((status, text)) = state.refusal {
                return (status, json!({"error_code": u32::from(status) * 100 + 1, "message": text}));
            }
            let id = state.register(subject, asked.body);
            (200, json!({"id": id}))
        }
        ("POST", ["subjects", subject]) => match state.find(subject, &asked.body) {
            Some(id) => (200, state.described(id)),
            None => (404, json!({"error_code": 40403, "message": "Schema not found"})),
        },
        ("GET", ["schemas", "ids", id]) => match id.parse().ok().and_then(|id| state.schema(id)) {
            Some(schema) => (200, schema),
            None => (404, json!({"error_code": 40403, "message": "Schema not found"})),
        },
        ("GET", ["subjects", subject, "versions", _]) => {
            match state.schemas.iter().rposition(|(known, _)| known == subject) {
                Some(at) => (200, state.described(at + 1)),
                None => (404, json!({"error_code": 40401, "message": "Subject not found"})),
            }
        }
        _ => (404, json!({"error_code": 404, "message": "HTTP 404 Not Found"})),
    }
}

impl State {
    /// The same schema has the same id, whatever its subject.
    fn register(&mut self, subject: &str, body: Value) -> usize {
        let known = self.schemas.iter().position(|(_, known)| is_same(known, &body));
        if self.find(subject, &body).is_none() && known.is_none() {
            self.schemas.push((subject.to_owned(), body));
            return self.schemas.len();
        }
        known.map_or(self.schemas.len(), |at| at + 1)
    }

    fn find(&self, subject: &str, body: &Value) -> Option<usize> {
        let is_it = |(known, schema): &(String, Value)| known == subject && is_same(schema, body);
        self.schemas.iter().position(is_it).map(|at| at + 1)
    }

    fn schema(&self, id: usize) -> Option<Value> {
        let (_, body) = self.schemas.get(id.checked_sub(1)?)?;
        Some(json!({"schema": body["schema"], "schemaType": kind(body)}))
    }

    fn described(&self, id: usize) -> Value {
        let (subject, body) = &self.schemas[id - 1];
        json!({"subject": subject, "id": id, "version": 1, "schema": body["schema"], "schemaType": kind(body)})
    }
}

fn kind(body: &Value) -> &str {
    body["schemaType"].as_str().unwrap_or("AVRO")
}

/// As a registry compares Avro: by what it says, not by its blanks.
fn is_same(one: &Value, other: &Value) -> bool {
    let parsed = |body: &Value| {
        let text = body["schema"].as_str().unwrap_or_default();
        serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
    };
    kind(one) == kind(other) && parsed(one) == parsed(other)
}
