//! A real browser without a window, told what to do over its debugging pipe.
//!
//! Owns the process and the numbers of its commands. The pipe is two FIFOs that a shell hands over
//! as descriptors 3 and 4, one JSON object and a zero byte each way; no port is opened for it.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::sandbox::tool;
use crate::story::Lab;
use crate::wait;
use crate::world::Host;

/// The browser, and the Debian package that brings it.
pub const PROGRAM: (&str, &str) = ("chromium-headless-shell", "chromium-headless-shell");
/// A browser starts slowly on a busy machine.
pub const BROWSER_PATIENCE: Duration = Duration::from_mins(1);

/// A browser with one page.
pub struct Browser {
    commands: File,
    answers: BufReader<File>,
    session: String,
    number: u64,
    // Last, so that the pipe is closed before the process is killed.
    _process: Daemon,
}

impl Browser {
    /// Starts it on a host, with an empty page.
    pub fn start(lab: &Lab, host: &Host) -> Result<Self> {
        crate::sandbox::require(PROGRAM.0, PROGRAM.1)?;
        let directory = Lab::directory().display().to_string();
        let (commands, answers) =
            (format!("{directory}/browser-in"), format!("{directory}/browser-out"));
        tool(&["mkfifo", &commands, &answers], "coreutils")?;
        // Its own sandbox needs namespaces that the case's process has given up.
        let line = format!(
            "exec {} --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
             --hide-scrollbars --user-data-dir={directory}/browser --remote-debugging-pipe \
             3<{commands} 4>{answers}",
            PROGRAM.0
        );
        let mut command = host.command("sh");
        command.args(["-c", &line]).env("HOME", &directory);
        let process = host.start(lab, "browser", &mut command)?;
        let commands = File::options().write(true).open(&commands).context("the browser's pipe")?;
        let answers = BufReader::new(File::open(&answers).context("the browser's pipe")?);
        let mut browser =
            Self { commands, answers, session: String::new(), number: 0, _process: process };
        let target = browser.order("Target.createTarget", &json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.order("Target.attachToTarget", &attach)?;
        session["sessionId"].as_str().context("a session")?.clone_into(&mut browser.session);
        browser.order("Page.enable", &json!({}))?;
        Ok(browser)
    }

    /// One command of the protocol, and its result.
    pub fn order(&mut self, method: &str, parameters: &Value) -> Result<Value> {
        self.number += 1;
        let mut order = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            order["sessionId"] = json!(self.session);
        }
        let mut bytes = order.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).context("tell the browser")?;
        loop {
            let mut bytes = Vec::new();
            self.answers.read_until(0, &mut bytes).context("hear the browser")?;
            ensure!(bytes.pop() == Some(0), "the browser has gone");
            let answer: Value = serde_json::from_slice(&bytes).context("the browser's answer")?;
            if answer["id"] != self.number {
                continue;
            }
            if !answer["error"].is_null() {
                bail!("{method}: {}", answer["error"]);
            }
            return Ok(answer["result"].clone());
        }
    }

    /// Goes to an address and waits until it is there.
    pub fn open(&mut self, url: &str) -> Result<()> {
        let gone = self.order("Page.navigate", &json!({ "url": url }))?;
        ensure!(gone["errorText"].is_null(), "{url}: {}", gone["errorText"]);
        self.wait(&format!("{url} is loaded"), "document.readyState === 'complete'")
    }

    /// The value of an expression on the page.
    pub fn value(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let result = self.order("Runtime.evaluate", &parameters)?;
        ensure!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        Ok(result["result"]["value"].clone())
    }

    /// Waits until an expression on the page is true.
    pub fn wait(&mut self, what: &str, expression: &str) -> Result<()> {
        wait::until_true(what, BROWSER_PATIENCE, || {
            self.value(expression).is_ok_and(|value| value == true)
        })
    }

    /// What a visitor prefers, and the screen, in CSS pixels.
    pub fn look(&mut self, scheme: &str, (width, height): (u32, u32)) -> Result<()> {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.order("Emulation.setEmulatedMedia", &json!({ "features": features }))?;
        let mobile = width < 600;
        let screen = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile,
        });
        self.order("Emulation.setDeviceMetricsOverride", &screen)?;
        Ok(())
    }

    /// Writes what is on the screen as WebP.
    pub fn picture(&mut self, path: &Path) -> Result<()> {
        let shot =
            self.order("Page.captureScreenshot", &json!({ "format": "webp", "quality": 85 }))?;
        let bytes = base64(shot["data"].as_str().context("a picture")?);
        std::fs::write(path, bytes).with_context(|| path.display().to_string())
    }
}

/// The bytes of Base64 from a program that can be trusted to write it.
fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |byte| LETTERS.iter().position(|letter| *letter == byte);
    let values: Vec<u32> = text.bytes().filter_map(value).map(|value| value as u32).collect();
    let mut bytes = Vec::with_capacity(values.len() * 3 / 4);
    for group in values.chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, value| bits << 6 | value);
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..][..group.len() * 6 / 8]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_read() {
        for (text, plain) in [("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob")]
        {
            assert_eq!(base64(text), plain.as_bytes());
        }
    }
}
