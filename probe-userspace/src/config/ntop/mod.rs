//! For users of nProbe and Cento: their options, their configuration file, and a word for each that is not here.
//!
//! ```text
//! words of the command line ─► arguments ─► clap          (a first word that is no option: a configuration file)
//! nProbe's configuration file ─► file ───┘
//! ```
//! An option that nobody knows goes on to clap, which says so.

mod file;
mod table;
#[cfg(test)]
mod tests;

use std::ffi::OsString;

use clap::CommandFactory;

use super::{CommandLine, Words};
pub(super) use file::{is_of_nprobe, read};
use table::{Entry, Here, Program};

/// Turns on Cento's meanings.
const CENTO: &str = "--cento";
/// Cento's own, where nothing else is said.
const CENTO_LIFETIME_SECONDS: u64 = 300;
const CENTO_IDLE_SECONDS: u64 = 180;

/// An option of ntop's that is not here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// See the message.
    #[error("{option}: {program}'s option for: {meaning}. It is not supported here\n  mend: {instead}")]
    NotHere {
        /// As it was written.
        option: String,
        /// Whose it is.
        program: &'static str,
        /// What it means there.
        meaning: &'static str,
        /// What to do.
        instead: &'static str,
    },
}

/// The words of the command line as clap is to read them: Cento's translated where `--cento` is among them, ntop's that are not here
/// refused, and a first word that names a file made `--config`.
///
/// # Errors
/// An option of ntop's that is not here.
pub fn arguments(all: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>, Error> {
    let mut all = all.into_iter();
    let mut words: Vec<OsString> = all.next().into_iter().collect();
    let mut rest: Vec<OsString> = all.collect();
    let is_file = |word: &OsString| {
        let text = word.to_string_lossy();
        !text.starts_with('-') && !is_sub_command(&text) && (text.contains('/') || text.contains('.'))
    };
    if rest.first().is_some_and(is_file) {
        rest.insert(0, "--config".into());
    }
    let is_cento = rest.iter().any(|word| word == CENTO);
    let mut rest = rest.into_iter();
    while let Some(word) = rest.next() {
        let Some(text) = word.to_str().filter(|text| text.starts_with('-') && text.len() > 1) else {
            // A word that is no option: of a sub-command, which has options of its own.
            words.push(word);
            continue;
        };
        match read_option(text, is_cento)? {
            Read::Known { wants_value } => {
                words.push(word);
                words.extend(wants_value.then(|| rest.next()).flatten());
            }
            Read::As(entry, ours, value) => {
                let value = match value {
                    None if entry.takes_value => rest.next().unwrap_or_default(),
                    value => value.unwrap_or_default().into(),
                };
                words.extend(
                    ours.iter().map(|word| if *word == "{}" { value.clone() } else { OsString::from(word) }),
                );
            }
        }
    }
    Ok(words)
}

/// What `--cento` changes where nothing was said.
pub(super) fn defaults(words: &mut Words) {
    if words.cento {
        words.lifetime_timeout.get_or_insert(CENTO_LIFETIME_SECONDS);
        words.idle_timeout.get_or_insert(CENTO_IDLE_SECONDS);
    }
}

/// An option, by its first word.
#[derive(Debug)]
enum Read {
    /// Clap's; its value is the next word.
    Known { wants_value: bool },
    /// Ours in its place; the value, if it is part of the word.
    As(&'static Entry, &'static [&'static str], Option<String>),
}

fn read_option(text: &str, is_cento: bool) -> Result<Read, Error> {
    let (short, long, attached) = apart(text);
    let is = |entry: &&Entry| {
        (short.is_some() && entry.short == short) || (long.is_some() && entry.long == long.as_deref())
    };
    let of = |program: Program| Some((program, program.table().iter().find(is)?));
    let cento = is_cento.then(|| of(Program::Cento)).flatten();
    let Some((program, entry)) = cento.or_else(|| of(Program::Nprobe)) else {
        return Ok(Read::Known {
            wants_value: attached.is_none() && clap_takes_value(short, long.as_deref()) == Some(true),
        });
    };
    match entry.here {
        Here::Same(_) => Ok(Read::Known { wants_value: attached.is_none() && entry.takes_value }),
        Here::As(ours, _) => Ok(Read::As(entry, ours, attached)),
        Here::Instead(instead) => Err(Error::NotHere {
            option: short
                .map_or_else(|| format!("--{}", long.unwrap_or_default()), |short| format!("-{short}")),
            program: program.name(),
            meaning: entry.meaning,
            instead,
        }),
    }
}

/// The letter or the word, and the value behind it: `-t60`, `-t=60`, `--hash-size=60`.
fn apart(text: &str) -> (Option<char>, Option<String>, Option<String>) {
    if let Some(long) = text.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        return (None, Some(name.to_owned()), value.map(str::to_owned));
    }
    let mut letters = text.strip_prefix('-').unwrap_or(text).chars();
    let (short, value) = (letters.next(), letters.as_str());
    let value = value.strip_prefix('=').unwrap_or(value);
    (short, None, (!value.is_empty()).then(|| value.to_owned()))
}

/// Whether an option, by any of its names, takes a value; `None` = clap does not know it either.
fn clap_takes_value(short: Option<char>, long: Option<&str>) -> Option<bool> {
    let command = CommandLine::command();
    let found = command.get_arguments().find(|argument| {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        (short.is_some() && argument.get_short() == short)
            || long.is_some_and(|long| argument.get_long() == Some(long) || aliases.contains(&long))
    });
    found.map(|argument| argument.get_action().takes_values())
}

fn is_sub_command(text: &str) -> bool {
    CommandLine::command().find_subcommand(text).is_some()
}
