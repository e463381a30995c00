//! The command check: a program that exits with 0.
//!
//! The program is the leader of a process group of its own. When it ends, or when a run ends before
//! it, by the timeout or because the run was dropped, the whole group is killed, so that a check
//! leaves no children behind. The program is never a shell unless the user
//! named one.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::{CommandProbe, Phase, Target};
use crate::program;

/// So much of the output's first line is repeated in the reason.
const LINE_LIMIT: usize = 200;
/// Output that is on its way when the program ends is waited for this long: something else may
/// hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// Runs the check once.
pub async fn run(probe: &CommandProbe, target: &Target, phase: &Phase) -> Result<(), String> {
    phase.set("the command is still running");
    let environment = [
        ("STANDIN_VIP", target.vip.to_string()),
        ("STANDIN_ADDRESS", target.connect.to_string()),
        ("STANDIN_HOST", target.host.clone()),
    ];
    let started = program::start(&probe.program, &probe.arguments, environment, Stdio::piped);
    let (mut child, group) = started.map_err(|error| {
        format!("cannot run {}: {}", probe.program, crate::failure::plain_io(&error))
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut said = FirstLine::default();
    let mut complained = FirstLine::default();
    let output = async { tokio::join!(said.read(stdout), complained.read(stderr)) };
    let status = {
        let ended = program::ended_with_all(&mut child, group);
        tokio::pin!(output, ended);
        let mut drained = false;
        let status = loop {
            tokio::select! {
                biased;
                _ = &mut output, if !drained => drained = true,
                status = &mut ended => break status,
            }
        };
        if !drained {
            let _ = tokio::time::timeout(LAST_WORDS, output).await;
        }
        status
    };
    let status = status.map_err(|error| format!("cannot wait for the command: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let line = if complained.line.is_empty() { said } else { complained };
    Err(reason(status, &line.text()))
}

fn reason(status: ExitStatus, line: &str) -> String {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "it ended in an unknown way".into(),
    };
    if line.is_empty() { how } else { format!("{how}: {line}") }
}

/// The first line of an output. The rest is read too, and forgotten, so that the program does not
/// block on a full pipe.
#[derive(Default)]
struct FirstLine {
    line: Vec<u8>,
    ended: bool,
}

impl FirstLine {
    async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else { return };
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            self.take(&buffer[..length]);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.ended {
                return;
            }
            match byte {
                b'\n' | b'\r' => self.ended = !self.line.is_empty(),
                other => self.line.push(*other),
            }
            self.ended |= self.line.len() >= LINE_LIMIT;
        }
    }

    /// The line, without what could disturb a terminal or a log.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.line);
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}
