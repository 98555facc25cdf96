//! SIGHUP: the capture filter is read anew from the file of `--config`, and put in force everywhere or nowhere.

use std::sync::Arc;

use super::conduct::Door;
use crate::config::{CommandLine, Error};
use crate::source::filtered::InForce;
use crate::source::xdp::CaptureFilter;

/// Where the filter comes from, and where it goes besides the doors.
pub(super) struct Reload<'a> {
    command_line: &'a CommandLine,
    in_force: Arc<InForce>,
    /// As they were written.
    rules: Vec<String>,
}

impl<'a> Reload<'a> {
    /// `None` = there is no file to read anew: SIGHUP then says that a terminal was closed.
    pub(super) fn of(command_line: &'a CommandLine, in_force: &Arc<InForce>) -> Result<Option<Self>, Error> {
        if command_line.config.is_none() {
            return Ok(None);
        }
        let (rules, _) = command_line.capture_filter()?;
        Ok(Some(Self { command_line, in_force: Arc::clone(in_force), rules }))
    }

    /// Reads it. Whatever goes wrong, the filter before stays in force.
    pub(super) fn apply(&mut self, doors: &mut [Box<dyn Door>]) {
        let (rules, filter) = match self.command_line.capture_filter() {
            Ok(read) => read,
            Err(error) => {
                tracing::error!("SIGHUP: the capture filter stays {}: {error}", shown(&self.rules));
                return;
            }
        };
        if let Err(error) = self.put(&filter, doors) {
            tracing::error!("SIGHUP: the capture filter stays {}: {error}", shown(&self.rules));
            return;
        }
        self.in_force.replace(filter);
        tracing::info!("SIGHUP: the capture filter was {} and is {}", shown(&self.rules), shown(&rules));
        self.rules = rules;
    }

    /// To every door; where one refuses, those before it get the old one back.
    fn put(&self, filter: &CaptureFilter, doors: &mut [Box<dyn Door>]) -> Result<(), super::Error> {
        for at in 0..doors.len() {
            let Err(error) = doors[at].set_filter(filter) else { continue };
            let old = self.in_force.get();
            for door in &mut doors[..at] {
                if let Err(error) = door.set_filter(&old) {
                    tracing::error!("an interface has another capture filter than the others: {error}");
                }
            }
            return Err(error);
        }
        Ok(())
    }
}

fn shown(rules: &[String]) -> String {
    if rules.is_empty() { "'' (everything)".into() } else { format!("'{}'", rules.join(" ")) }
}
