//! What is asked of a collector that runs, or tried beside it: the subcommands.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use figment::Figment;
use figment::providers::Serialized;

use super::script::{self, Scripts};
use super::{Error, HTTP};

/// Questions.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Flows, largest groups, or a measure over time
    Query(Query),
    /// The books: what was seen, stored, lost, and what no term explains
    Ledger(Books),
    /// Try a Lua script: what it prints comes here, and what it sends is waited for
    Lua(Lua),
    /// What the collector starts for each of its scripts
    #[command(name = crate::script::SUBCOMMAND, hide = true)]
    LuaChild {
        /// For lists of processes.
        script: String,
    },
}

/// Whom to ask.
#[derive(Debug, Args)]
pub struct Whom {
    /// The running collector's address
    #[arg(long, value_name = "ADDR:PORT", default_value = HTTP, conflicts_with = "store")]
    pub http: String,
    /// Open this store instead; no collector may hold it
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
}

/// `gannet-collector query ...`: the words of the REST API.
#[derive(Debug, Args)]
pub struct Query {
    /// What to ask
    #[arg(value_enum, default_value = "flows")]
    pub question: Question,
    /// Begin of the range: RFC 3339, UNIX seconds, -5m
    #[arg(long, allow_hyphen_values = true)]
    pub from: Option<String>,
    /// End of the range
    #[arg(long, allow_hyphen_values = true)]
    pub to: Option<String>,
    /// field=value[,value] .. (src=10.0.0.0/8 port=443); may be given several times
    #[arg(long)]
    pub filter: Vec<String>,
    /// Group by (top, timeseries): src, dst, proto, ..
    #[arg(long)]
    pub by: Option<String>,
    /// octets, packets, flows, .. (top, timeseries)
    #[arg(long)]
    pub measure: Option<String>,
    /// Rows at most
    #[arg(long)]
    pub limit: Option<String>,
    /// Width of a bucket (timeseries): 10s, 1m, 1h
    #[arg(long)]
    pub step: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Whom to ask
    #[command(flatten)]
    pub whom: Whom,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Question {
    /// The last flows
    Flows,
    /// The largest groups
    Top,
    /// A measure over time
    Timeseries,
}

/// `gannet-collector lua SCRIPT`
#[derive(Debug, Args)]
pub struct Lua {
    /// The file; a script for flows wants --flows
    pub script: PathBuf,
    /// The running collector, for statistics and flows; a script that asks for neither needs none
    #[arg(long, value_name = "ADDR:PORT", default_value = HTTP)]
    pub http: String,
    /// Give it the last flows of that collector
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub flows: Option<u32>,
    /// The collector's options for scripts; modules are looked for in --scripts-dir, or beside the script
    #[command(flatten)]
    pub scripts: Scripts,
}

impl Lua {
    /// As the collector would have them.
    ///
    /// # Errors
    /// A wrong option.
    pub fn settings(&self) -> Result<crate::script::Settings, Error> {
        let beside =
            self.script.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut scripts = self.scripts.clone();
        scripts.scripts_dir.get_or_insert_with(|| beside.to_owned());
        let figment = Figment::from(Serialized::defaults(script::Keys::default()));
        let keys: script::Keys = figment
            .merge(Serialized::defaults(&scripts))
            .extract()
            .map_err(|cause| Error::File { path: PathBuf::new(), cause: Box::new(cause) })?;
        keys.settings(None)?.ok_or_else(|| Error::Allow(String::new()))
    }
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns
    Table,
    /// The API's own answer
    Json,
    /// RFC 4180
    Csv,
}

/// `gannet-collector ledger ...`
#[derive(Debug, Args)]
pub struct Books {
    /// Count the stored terms from the rows themselves, and say by the exit code what was found: 0 = all holds (without
    /// --wait, so far), 1 = still open at the end of --wait, or no probe was ever heard, 3 = residual
    #[arg(long)]
    pub check: bool,
    /// With --check: exit 4 where more packets than this were lost (a lost record of which nobody knows the packets is one)
    #[arg(long, value_name = "N", requires = "check")]
    pub max_loss: Option<u64>,
    /// Wait until every epoch is closed and the bus is read to its end, at most so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Whom to ask
    #[command(flatten)]
    pub whom: Whom,
}
