//! nProbe's configuration file: an option a line, with `=` before its value, and behind one that has none.
//!
//! ```text
//! # comment
//! -i=eno1
//! --ntopng=kafka://192.168.2.225
//! --no-promisc=
//! ```

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;

use super::super::{CommandLine, Error, Words};
use super::{CENTO, arguments, clap_takes_value};

/// Whether a file is one of these, and not TOML: by its ending, else by the first line that says something.
pub(crate) fn is_of_nprobe(path: &Path, text: &str) -> bool {
    let is_toml = path.extension().is_some_and(|ending| ending == "toml");
    !is_toml && lines(text).next().is_some_and(|(_, line)| line.starts_with('-'))
}

/// Reads one, whose path is for messages.
///
/// # Errors
/// The file, the line and what is wrong with it.
pub(crate) fn read(path: &Path, text: &str) -> Result<Words, Error> {
    let wrong = |line: usize, reason: String| Error::Line { path: path.to_owned(), line, reason };
    let is_cento = lines(text).any(|(_, line)| line.trim_end_matches('=') == CENTO);
    let mut all = vec![OsString::from("gannet-probe")];
    all.extend(is_cento.then(|| CENTO.into()));
    for (number, line) in lines(text) {
        if line.trim_end_matches('=') == CENTO {
            continue;
        }
        let words = option(line, is_cento).map_err(|reason| wrong(number, reason))?;
        // Each by itself first: clap names no line.
        let alone = [&[OsString::from("gannet-probe")], &words[..]].concat();
        CommandLine::try_parse_from(&alone).map_err(|error| wrong(number, said(&error)))?;
        all.extend(words);
    }
    let parsed = CommandLine::try_parse_from(&all).map_err(|error| wrong(0, said(&error)))?;
    if parsed.config.is_some() || parsed.check_config {
        return Err(wrong(0, "--config and --check-config are for the command line".to_owned()));
    }
    Ok(parsed.words)
}

/// With their numbers, those that say something.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// One line as clap reads it.
fn option(line: &str, is_cento: bool) -> Result<Vec<OsString>, String> {
    if !line.starts_with('-') {
        // The line is not repeated: it may hold a password.
        return Err("it begins with no dash: write -x=value".to_owned());
    }
    let Some((name, value)) = line.split_once('=') else {
        let name = line.split_whitespace().next().unwrap_or(line);
        return Err(format!(
            "{name} has no '=' behind it: write {name}=value, or {name}= where it takes none"
        ));
    };
    let (name, value) = (name.trim(), unquoted(value.trim()));
    let mut words: Vec<OsString> = vec!["gannet-probe".into()];
    words.extend(is_cento.then(|| CENTO.into()));
    words.push(name.into());
    words.extend((!value.is_empty()).then(|| value.into()));
    let words = arguments(words).map_err(|error| error.to_string())?;
    let words: Vec<_> = words.into_iter().skip(1).filter(|word| word != CENTO).collect();
    // A value that begins with a dash is a value all the same.
    match (&words[..], value.is_empty()) {
        ([option, given], false) if option == name => {
            let (short, long) = (name.strip_prefix("--").is_none(), name.strip_prefix("--"));
            let letter = if short { name.chars().nth(1) } else { None };
            if clap_takes_value(letter, long) == Some(false) {
                return Err(format!("{name} takes no value: write {name}="));
            }
            let mut whole = option.clone();
            whole.push("=");
            whole.push(given);
            Ok(vec![whole])
        }
        _ => Ok(words),
    }
}

/// Without the quotes around the whole, which a shell would have taken.
fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// Clap's first line, without its word for errors.
fn said(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
