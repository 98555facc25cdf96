//! SIGHUP: capture filter and expression are read anew from the file of `--config`, and put in force everywhere or nowhere.

use std::sync::Arc;

use super::conduct::Door;
use super::selection::selection;
use crate::config::{CommandLine, Selected, shunt_or_expression};
use crate::source::LinkLayer;
use crate::source::selection::{InForce, Selection};

/// Where the selection comes from, and where it goes besides the doors.
pub(super) struct Reload<'a> {
    command_line: &'a CommandLine,
    in_force: Arc<InForce>,
    links: Vec<LinkLayer>,
    is_shunting: bool,
    /// As it was written.
    shown: String,
}

impl<'a> Reload<'a> {
    /// `None` = there is no file to read anew: SIGHUP then says that a terminal was closed.
    pub(super) fn of(
        command_line: &'a CommandLine,
        in_force: &Arc<InForce>,
        links: Vec<LinkLayer>,
        is_shunting: bool,
    ) -> Result<Option<Self>, super::Error> {
        if command_line.config.is_none() {
            return Ok(None);
        }
        let shown = shown(&command_line.selected()?);
        Ok(Some(Self { command_line, in_force: Arc::clone(in_force), links, is_shunting, shown }))
    }

    /// Reads it. Whatever goes wrong, what was selected before stays in force.
    pub(super) fn apply(&mut self, doors: &mut [Box<dyn Door>]) {
        let put = self.read().and_then(|(shown, selection)| {
            self.put(&selection, doors)?;
            Ok((shown, selection))
        });
        match put {
            Err(error) => tracing::error!("SIGHUP: the capture filter stays {}: {error}", self.shown),
            Ok((shown, selection)) => {
                self.in_force.replace(selection);
                tracing::info!("SIGHUP: the capture filter was {} and is {shown}", self.shown);
                self.shown = shown;
            }
        }
    }

    fn read(&self) -> Result<(String, Selection), super::Error> {
        let selected = self.command_line.selected()?;
        shunt_or_expression(self.is_shunting, selected.expression.as_ref())?;
        let shown = shown(&selected);
        Ok((shown, selection(selected.filter, selected.expression.as_ref(), &self.links)?))
    }

    /// To every door; where one refuses, those before it get the old one back.
    fn put(&self, selection: &Selection, doors: &mut [Box<dyn Door>]) -> Result<(), super::Error> {
        for at in 0..doors.len() {
            let Err(error) = doors[at].select(selection) else { continue };
            let old = self.in_force.get();
            for door in &mut doors[..at] {
                if let Err(error) = door.select(&old) {
                    tracing::error!("an interface has another capture filter than the others: {error}");
                }
            }
            return Err(error);
        }
        Ok(())
    }
}

fn shown(selected: &Selected) -> String {
    match (selected.rules.is_empty(), &selected.expression) {
        (true, None) => "'' (everything)".into(),
        (false, None) => format!("'{}'", selected.rules.join(" ")),
        (true, Some(expression)) => format!("-f '{expression}'"),
        (false, Some(expression)) => format!("'{}' and -f '{expression}'", selected.rules.join(" ")),
    }
}
