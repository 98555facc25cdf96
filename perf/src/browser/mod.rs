//! A real browser: headless Chromium, driven through chromedriver (W3C WebDriver: JSON over HTTP on loopback).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::request;
use crate::process::{self, Program, Running};

/// Chromium's own start on a loaded machine.
const START_BOUND: Duration = Duration::from_secs(60);

/// Headless, no sandbox (tests run as root), and no word to anybody but the page.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// What goes wrong with a browser.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("{0} is not installed, and the page cannot be read without it: run `make setup`")]
    NotInstalled(&'static str),
    /// chromedriver did not come up.
    #[error(transparent)]
    Driver(#[from] process::Error),
    /// The kernel has no port for it.
    #[error("no free port on 127.0.0.1 for chromedriver: {0}")]
    NoPort(std::io::Error),
    /// The connection to it broke.
    #[error("no answer from chromedriver to {command}: {source}")]
    NoAnswer {
        /// What was asked.
        command: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It refused a command.
    #[error("chromedriver refused {command}: {words}")]
    Refused {
        /// What was asked.
        command: String,
        /// Its answer.
        words: String,
    },
}

/// One browser with one window; gone when dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Running,
    server: SocketAddr,
    session: String,
}

impl Browser {
    /// Starts chromedriver on a free port, and Chromium with an empty profile in `folder`.
    ///
    /// # Errors
    /// When one of them is not installed or does not start.
    pub fn start(folder: &Path) -> Result<Self, Error> {
        for name in ["chromium", "chromedriver"] {
            installed(name)?;
        }
        let port = free_port().map_err(Error::NoPort)?;
        let mut driver = Program::foreign("chromedriver", Command::new("chromedriver"))
            .args([format!("--port={port}")])
            .start()?;
        driver.wait_for_line("started successfully", START_BOUND)?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut browser = Self { driver, server, session: String::new() };
        browser.session = browser.new_session(folder)?;
        Ok(browser)
    }

    fn new_session(&self, folder: &Path) -> Result<String, Error> {
        let profile = format!("--user-data-dir={}", folder.display());
        let arguments: Vec<_> = ARGUMENTS.into_iter().chain(["--window-size=1280,1600", &profile]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}});
        let answer = self.ask("POST", "/session", &wanted)?;
        Ok(answer["sessionId"].as_str().unwrap_or_default().to_owned())
    }

    /// Goes to a page, and waits until it is loaded.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn open(&self, url: &str) -> Result<(), Error> {
        self.command("url", &json!({"url": url})).map(drop)
    }

    /// Runs the body of a function in the page; what it returns.
    ///
    /// # Errors
    /// When it throws.
    pub fn run(&self, script: &str) -> Result<Value, Error> {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Types into the element that `selector` finds; `\u{e007}` is the Enter key.
    ///
    /// # Errors
    /// When there is no such element, or a person could not type there either.
    pub fn type_into(&self, selector: &str, keys: &str) -> Result<(), Error> {
        let element = self.command("element", &json!({"using": "css selector", "value": selector}))?;
        let id = element.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        let path = format!("element/{}/value", id.unwrap_or_default());
        self.command(&path, &json!({"text": keys})).map(drop)
    }

    /// What a Chrome DevTools command answers, for what WebDriver lacks: screen sizes, colour schemes, screenshots.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Result<Value, Error> {
        self.command("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    fn command(&self, name: &str, body: &Value) -> Result<Value, Error> {
        self.ask("POST", &format!("/session/{}/{name}", self.session), body)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Error> {
        let command = format!("{method} {path}");
        let answer = request(self.server, method, path, &body.to_string())
            .map_err(|source| Error::NoAnswer { command: command.clone(), source })?;
        let mut value: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        match answer.status {
            200 => Ok(value["value"].take()),
            _ => Err(Error::Refused { command, words: value["value"]["message"].to_string() }),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends Chromium with the session; were only the driver killed, Chromium would live on.
        if !self.driver.ended() {
            drop(self.ask("DELETE", &format!("/session/{}", self.session), &json!({})));
        }
    }
}

/// A port that is free now, and that the kernel hands to nobody else for a while: left to choose by itself, chromedriver says
/// `port 0` where there is no IPv6.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn installed(name: &'static str) -> Result<(), Error> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).any(|folder| folder.join(name).is_file());
    if found { Ok(()) } else { Err(Error::NotInstalled(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_names_the_command_that_installs_it() {
        let error = installed("no-such-browser").unwrap_err();
        assert!(error.to_string().contains("make setup"), "{error}");
    }
}
