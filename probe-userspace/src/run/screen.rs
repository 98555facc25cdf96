//! What a person at a terminal sees while the run goes on.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use flow_wire::ledger::Message;

use crate::telemetry::{Line, Rates, si};

/// The line a second, where somebody looks; and one for the service manager.
pub(super) struct Screen {
    line: Option<Line>,
    shown: Option<Arc<Message>>,
    status: String,
}

impl Screen {
    /// Shows lines where standard error is a terminal, and not the same one that flows are written to.
    pub(super) fn new(flows: Option<&Path>) -> Self {
        let shared = flows == Some(Path::new("-")) && std::io::stdout().is_terminal();
        let line = (std::io::stderr().is_terminal() && !shared).then(Line::default);
        Self { line, shown: None, status: String::new() }
    }

    /// Shows a message once; gives the line for the service manager.
    pub(super) fn show(&mut self, message: &Arc<Message>) -> String {
        if self.shown.as_ref().is_some_and(|shown| Arc::ptr_eq(shown, message)) {
            return self.status.clone();
        }
        if let Some(text) = self.line.as_mut().and_then(|line| line.next(message)) {
            eprintln!("{text}");
        }
        if let Some(before) = self.shown.replace(message.clone()) {
            let rates = Rates::between(&before, message);
            self.status = format!("{}pps, {}bps", si(rates.packets), si(rates.bits));
        }
        self.status.clone()
    }
}
