//! The process of one script, as its host sees it: given a job, waited for as long as it may take, and killed.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::answers::Answers;
use super::find::{Script, When, source};
use super::link::{Frame, Link};
use super::protocol::{ANSWER, Done, FLOWS, Job, Kafka, LOAD, Level, Load, RUN, SAID, Said};
use super::settings::Settings;

/// This program, whatever became of its file since it was started.
const PROGRAM: &str = "/proc/self/exe";

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "lua-child";

/// What of the environment is kept: where libraries are, and the certificates of OpenSSL.
const KEPT: [&str; 3] = ["LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The variable that names the host's process.
pub(super) const HOST: &str = "GANNET_SCRIPT_HOST";

/// What a process has to end a job by itself, behind the time limit.
const GRACE: Duration = Duration::from_secs(1);

/// How often it is looked whether anybody still waits for a job.
const TICK: Duration = Duration::from_millis(100);

/// To start and say its first word, on a machine that does other things as well.
const START_MAX: Duration = Duration::from_secs(10);

/// What a process has after its link was closed: Kafka's last messages go out.
const FAREWELL: Duration = Duration::from_millis(1_500);

/// Lines of a job that are heard.
const LINES_MAX: u32 = 100;

/// Why a process is not there any more.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// It was killed.
    #[error("it took more than {0:?} and did not stop: its process was killed")]
    Time(Duration),
    /// It ended by itself, or somebody else killed it.
    #[error("its process ended: {0}")]
    Itself(String),
    /// The collector stops.
    #[error("the collector stops, and it did not end by itself")]
    Stopped,
    /// It could not be started.
    #[error("its process could not be started: {0}")]
    Start(String),
    /// The source.
    #[error(transparent)]
    Source(#[from] super::find::Error),
}

/// What came of a process that was no answer to anything.
pub trait Listen {
    /// Messages to Kafka.
    fn kafka(&mut self, kafka: Kafka);
    /// An alert, which the ears have heard as well.
    fn alert(&mut self, level: Level, text: &str);
    /// Whether nobody waits for the job any more.
    fn is_over(&self) -> bool {
        false
    }
}

/// One that runs.
pub struct Process {
    child: Child,
    link: Link,
    name: String,
    time_limit: Duration,
    lines: u32,
    /// When its last moment ends: the collector stops.
    over: Option<Instant>,
}

impl Process {
    /// Starts it, and tells it all that it needs.
    ///
    /// # Errors
    /// No process, or no source.
    pub fn start(script: &Script, settings: &Settings) -> Result<Self, Ended> {
        let load = Load {
            name: script.name.clone(),
            directory: settings.directory.display().to_string(),
            source: (script.when == When::Flow).then(|| source(&script.path)).transpose()?,
            time_limit: settings.time_limit,
            memory_octets: settings.memory_octets,
            kafka: settings.kafka_conf.pairs().to_vec(),
            allowed: settings.allowed.clone(),
        };
        let start = |error: std::io::Error| Ended::Start(error.to_string());
        let (link, theirs) = Link::pair().map_err(start)?;
        let child = Command::new(PROGRAM)
            .arg0("gannet-collector")
            .args([SUBCOMMAND, &script.name])
            .env_clear()
            // One arena: each has 64 MB of addresses, which count against its limit.
            .env("MALLOC_ARENA_MAX", "1")
            .env(HOST, std::process::id().to_string())
            .envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            // An interrupt from the terminal is the collector's, which then ends its scripts in order.
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(start)?;
        let mut process = Self {
            child,
            link,
            name: script.name.clone(),
            time_limit: settings.time_limit,
            lines: 0,
            over: None,
        };
        let load = serde_json::to_vec(&load).map_err(|error| Ended::Start(error.to_string()))?;
        match process.link.send(LOAD, &load, Some(Instant::now() + START_MAX)) {
            Ok(()) => Ok(process),
            Err(_) => Err(process.ended()),
        }
    }

    /// Its number, for people.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it do something, and hears what it says meanwhile. After an error there is no process.
    ///
    /// # Errors
    /// It hung, and was killed; or it ended.
    pub fn work(&mut self, job: Job<'_>, answers: &Answers, listen: &mut dyn Listen) -> Result<Done, Ended> {
        let (kind, body) = match job {
            Job::Run(source) => (RUN, source.as_bytes()),
            Job::Flows(body) => (FLOWS, body),
        };
        let mut until = Instant::now() + self.time_limit + GRACE;
        self.lines = 0;
        self.link.send(kind, body, Some(until)).map_err(|error| self.end(&error))?;
        loop {
            let Some(frame) = self.next(&mut until, listen)? else { continue };
            match self.hear(frame, answers, listen)? {
                Said::Done(done) => {
                    if self.lines > LINES_MAX {
                        let left_out = format!("{} more lines are left out", self.lines - LINES_MAX);
                        answers.ears.hear(&self.name, Level::Info, &left_out);
                    }
                    return Ok(done);
                }
                Said::Ask(question) => {
                    let asked = Instant::now();
                    // Strings cannot fail to be written.
                    let answer = serde_json::to_vec(&answers.answer(question)).unwrap_or_default();
                    // What it waited for us is not its own time; its own clock goes on all the same.
                    until += asked.elapsed();
                    self.link.send(ANSWER, &answer, Some(until)).map_err(|error| self.end(&error))?;
                }
                Said::Log(..) | Said::Alert(..) | Said::Kafka(_) => {}
            }
        }
    }

    /// What it says next; `None` = nothing yet. Once nobody waits any more it has a moment left.
    fn next(&mut self, until: &mut Instant, listen: &dyn Listen) -> Result<Option<Frame>, Ended> {
        let now = Instant::now();
        match self.link.receive(Some((*until).min(now + TICK))) {
            Ok(Some(frame)) => Ok(Some(frame)),
            Ok(None) => Err(self.ended()),
            Err(error) if error.kind() == ErrorKind::TimedOut && now < *until => {
                if listen.is_over() {
                    *until = (*until).min(*self.over.get_or_insert(now + GRACE));
                }
                Ok(None)
            }
            Err(_) if self.over.is_some() => {
                self.kill();
                Err(Ended::Stopped)
            }
            Err(error) => Err(self.end(&error)),
        }
    }

    /// Hears what it says while it has nothing to do, for so long. An error: it is gone.
    ///
    /// # Errors
    /// It ended.
    pub fn idle(
        &mut self,
        patience: Duration,
        answers: &Answers,
        listen: &mut dyn Listen,
    ) -> Result<(), Ended> {
        let until = Instant::now() + patience;
        loop {
            match self.link.receive(Some(until)) {
                Ok(Some(frame)) => drop(self.hear(frame, answers, listen)?),
                Ok(None) => return Err(self.ended()),
                Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(()),
                Err(error) => return Err(self.end(&error)),
            }
        }
    }

    /// Lets it send what it still has, and waits for its end; hears its last words.
    pub fn farewell(mut self, answers: &Answers, listen: &mut dyn Listen) {
        self.link.finish();
        // Either it ends and the link with it, or it is killed.
        let _ = self.idle(FAREWELL, answers, listen);
        self.kill();
    }

    fn hear(&mut self, frame: Frame, answers: &Answers, listen: &mut dyn Listen) -> Result<Said, Ended> {
        let said = (frame.kind == SAID).then(|| serde_json::from_slice::<Said>(&frame.body));
        let Some(Ok(said)) = said else {
            self.kill();
            return Err(Ended::Itself(format!(
                "it said something that nobody understands (kind {})",
                frame.kind
            )));
        };
        match &said {
            Said::Log(level, text) => {
                self.lines = self.lines.saturating_add(1);
                if self.lines <= LINES_MAX {
                    answers.ears.hear(&self.name, *level, text);
                }
            }
            Said::Alert(level, text) => {
                answers.ears.hear(&self.name, *level, text);
                listen.alert(*level, text);
            }
            Said::Kafka(kafka) => listen.kafka(*kafka),
            Said::Ask(_) | Said::Done(_) => {}
        }
        Ok(said)
    }

    /// What an error of the link means. The process is gone afterwards.
    fn end(&mut self, error: &std::io::Error) -> Ended {
        if error.kind() == ErrorKind::TimedOut {
            self.kill();
            return Ended::Time(self.time_limit);
        }
        self.ended()
    }

    /// It closed its link: it ends, or is ended.
    fn ended(&mut self) -> Ended {
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ended::Itself(sentence(status));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        Ended::Itself("it closed its link and did not end".to_owned())
    }

    fn kill(&mut self) {
        // It may have ended by itself; it is waited for in either case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn sentence(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => status.to_string(),
    }
}
