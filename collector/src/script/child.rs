//! The process: waits for jobs of its host, runs them, says what came of them. It ends with its host.

use std::cell::{Cell, RefCell};
use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, Value};

use super::api::{Producers, flow};
use super::confine;
use super::link::{Frame, Link};
use super::protocol::{ANSWER, Answer, Done, FLOWS, LOAD, Level, Load, Question, RUN, SAID, Said};
use super::sandbox;

/// How often, while nothing is to be done, it is looked what became of messages under way.
const TICK: Duration = Duration::from_millis(100);

/// For messages under way, once the host says that it is over.
const FAREWELL: Duration = Duration::from_millis(1_200);

/// What every call of the API may use.
pub(super) struct Context {
    pub(super) load: Load,
    link: RefCell<Link>,
    /// When the job must be done.
    deadline: Cell<Instant>,
    pub(super) producers: RefCell<Producers>,
}

impl Context {
    /// Says something. A host that is gone has no use for this process.
    pub(super) fn say(&self, said: &Said) {
        // Strings and numbers cannot fail to be written.
        let body = serde_json::to_vec(said).unwrap_or_default();
        if self.link.borrow_mut().send(SAID, &body, None).is_err() {
            std::process::exit(1);
        }
    }

    /// Asks, and waits for the answer: the host sends nothing else meanwhile.
    pub(super) fn ask(&self, question: Question) -> Answer {
        self.say(&Said::Ask(question));
        match self.link.borrow_mut().receive(None) {
            Ok(Some(Frame { kind: ANSWER, body })) => {
                serde_json::from_slice(&body).unwrap_or_else(|error| Err(error.to_string()))
            }
            _ => std::process::exit(1),
        }
    }

    pub(super) fn log(&self, level: Level, text: impl Into<String>) {
        self.say(&Said::Log(level, text.into()));
    }

    /// What is left of the job's time.
    pub(super) fn left(&self) -> Duration {
        self.deadline.get().saturating_duration_since(Instant::now())
    }

    pub(super) fn begin(&self) {
        self.deadline.set(Instant::now() + self.load.time_limit);
    }

    /// What became of messages to Kafka, where something did.
    fn tell(&self) {
        let (counts, failures) = self.producers.borrow().take_news();
        for failure in failures {
            self.log(Level::Error, failure);
        }
        if counts != Default::default() {
            self.say(&Said::Kafka(counts));
        }
    }
}

/// What `gannet-collector lua-child` does.
#[must_use]
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "gannet-collector {}: {error}; the collector starts it by itself",
                super::process::SUBCOMMAND
            );
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let mut link = Link::of_stdin()?;
    confine::now()?;
    let load = match link.receive(None)? {
        Some(Frame { kind: LOAD, body }) => serde_json::from_slice::<Load>(&body)?,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    confine::memory(load.memory_octets)?;
    let producers = RefCell::new(Producers::new(load.kafka.clone(), load.allowed.clone()));
    let (link, deadline) = (RefCell::new(link), Cell::new(Instant::now()));
    let context = Rc::new(Context { load, link, deadline, producers });
    let mut follower = None;
    loop {
        let until = context.producers.borrow().are_busy().then(|| Instant::now() + TICK);
        let received = context.link.borrow_mut().receive(until);
        let frame = match received {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                context.tell();
                continue;
            }
            Err(error) => return Err(error),
        };
        context.begin();
        let done = match frame.kind {
            RUN => once(&context, &frame.body),
            FLOWS => follower.get_or_insert_with(|| Follower::load(&context)).see(&context, &frame.body),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        context.tell();
        context.say(&Said::Done(done));
    }
    context.producers.borrow().flush(FAREWELL);
    context.tell();
    Ok(())
}

/// One run, in a state of its own.
fn once(context: &Rc<Context>, source: &[u8]) -> Done {
    let ran = sandbox::state(context).and_then(|lua| {
        // Its value is nobody's: ntopng's scripts return nothing either.
        lua.load(source).set_mode(ChunkMode::Text).set_name(format!("@{}", context.load.name)).exec()
    });
    Done { error: ran.err().map(|error| sentence(&error)), ..Done::default() }
}

/// A script that wants flows, or why there is none.
struct Follower(Result<Hook, String>);

struct Hook {
    lua: Lua,
    call: Function,
    shape: flow::Shape,
}

impl Follower {
    fn load(context: &Rc<Context>) -> Self {
        Self(Hook::load(context).map_err(|error| sentence(&error)))
    }

    fn see(&self, context: &Context, body: &[u8]) -> Done {
        let hook = match &self.0 {
            Ok(hook) => hook,
            Err(error) => return Done { error: Some(error.clone()), ..Done::default() },
        };
        match flow::records(body) {
            Ok(records) => hook.see(context, &records),
            Err(error) => Done { error: Some(error), ..Done::default() },
        }
    }
}

impl Hook {
    fn load(context: &Rc<Context>) -> mlua::Result<Self> {
        let lua = sandbox::state(context)?;
        let source = context.load.source.as_deref().unwrap_or_default();
        let chunk = lua.load(source).set_mode(ChunkMode::Text).set_name(format!("@{}", context.load.name));
        let call = match chunk.eval()? {
            Value::Function(function) => Some(function),
            Value::Table(script) => script
                .get::<Option<mlua::Table>>("hooks")?
                .map(|hooks| hooks.get("flowEnd"))
                .transpose()?
                .flatten(),
            _ => None,
        };
        let call = call.ok_or_else(|| {
            mlua::Error::runtime(
                "it returns neither a function nor { hooks = { flowEnd = function(flow) .. end } }",
            )
        })?;
        Ok(Self { shape: flow::Shape::new(&lua)?, lua, call })
    }

    /// One call a flow. An error ends that call alone; the time of the batch ends them all.
    fn see(&self, context: &Context, records: &[flow_wire::record::FlowRecord]) -> Done {
        let mut done = Done::default();
        for record in records {
            let called = self.shape.table(&self.lua, record).and_then(|flow| self.call.call::<()>(flow));
            done.flows += 1;
            if let Err(error) = called {
                done.failed_flows += 1;
                done.error.get_or_insert_with(|| sentence(&error));
            }
            if context.left().is_zero() {
                done.error.get_or_insert_with(|| sandbox::OVER.to_owned());
                break;
            }
        }
        done
    }
}

/// The first line and where it was: a trace of this program's own frames tells a script's author nothing.
fn sentence(error: &mlua::Error) -> String {
    let mut cause = error;
    while let mlua::Error::CallbackError { cause: inner, .. } = cause {
        cause = inner;
    }
    let text = match cause {
        mlua::Error::RuntimeError(text) | mlua::Error::MemoryError(text) => text.clone(),
        other => other.to_string(),
    };
    text.lines().take_while(|line| !line.starts_with("stack traceback")).collect::<Vec<_>>().join("; ")
}
