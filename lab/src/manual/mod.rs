//! The command blocks of the documentation, run as they stand there.
//!
//! A page is a story on a [`Stage`]: its blocks, those that nobody sees included, run one after the
//! other on hosts that have their own `/etc` and `/run/standin`. Owns what a block's words mean.
//!
//! | word | meaning |
//! |---|---|
//! | `on=pinky,brain` | where it is run; without it on pinky |
//! | `file=PATH` | of a `toml` block: it is written there, on these hosts |
//! | `stays` | its last command does not end: it goes on beside what follows |
//! | `ends` | of a hidden block: first all that stays is ended, and ends well |
//! | `until="COMMAND"` | goes on only when this succeeds there |
//! | `with="A=1 B=2"` | of a script (`sh`): its environment |
//! | `not-run="WHY"` | it is not run, and why |
//!
//! Invariant: a block with commands is run, or says why not.

mod stage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::fences::{self, Block};
use crate::story::Lab;
use crate::wait;
use stage::Stage;

/// Until something that takes the default second, and an announcement or two, has happened.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a block's shell prints between two of its commands.
const BETWEEN: &str = "the-next-command-of-the-block";
/// Where a block is run that does not say where.
const USUAL: &str = "pinky";

/// The source tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the blocks of a page, named from the root of the source tree.
pub fn play(lab: &Lab, page: &str) -> Result<()> {
    let text = std::fs::read_to_string(root().join(page)).context(page.to_owned())?;
    let stage = Stage::new(lab)?;
    let (mut run, mut not_run) = (0, 0);
    for block in fences::blocks(&text) {
        let place = format!("{page}:{}", block.line);
        if let Some(why) = block.word("not-run") {
            ensure!(!why.trim().is_empty(), "{place}: not-run=\"WHY\" needs its reason");
            lab.say(format!("{place} is not run: {why}"));
            not_run += 1;
        } else if perform(lab, &stage, &block).with_context(|| place.clone())? {
            lab.say(format!("{place} ran"));
            run += 1;
        }
    }
    lab.say(format!("{page}: {run} blocks were run, {not_run} were not"));
    Ok(())
}

/// Does what a block says; whether there was anything to do.
fn perform(lab: &Lab, stage: &Stage<'_>, block: &Block) -> Result<bool> {
    if block.word("ends").is_some() {
        stage.end_all()?;
    }
    for host in block.word("on").unwrap_or(USUAL).split(',') {
        match block.kind.as_str() {
            "console" => console(lab, stage, block, host)?,
            "lab" => drop(stage.run(host, &block.text(), "")?),
            "sh" => stage.script(host, &block.text(), block.word("with").unwrap_or_default())?,
            "yaml" => prometheus(stage, block, host)?,
            "toml" => match block.word("file") {
                Some(path) => stage.write(host, path, &block.text())?,
                None => return Ok(false),
            },
            "text" => return Ok(false),
            other => bail!("a block of the kind {other:?}, of which nobody knows how to run it"),
        }
        if let Some(condition) = block.word("until") {
            let mut last = String::new();
            let met = wait::until_true(condition, PATIENCE, || {
                stage.run(host, condition, "").map_err(|error| last = format!("{error:#}")).is_ok()
            });
            met.with_context(|| last)?;
        }
    }
    Ok(true)
}

fn console(lab: &Lab, stage: &Stage<'_>, block: &Block, host: &str) -> Result<()> {
    let mut steps = block.steps();
    ensure!(!steps.is_empty(), "a console block without a command: '$ ' begins one");
    let lasting = block.word("stays").and_then(|_| steps.pop());
    for step in &steps {
        lab.say(format!("{host}$ {}", step.command));
    }
    // One shell for all of them: whoever types them has one, and what it remembers.
    let commands: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
    let script = commands.join(&format!("\necho {BETWEEN}\n"));
    let said = if steps.is_empty() { String::new() } else { stage.run(host, &script, "")? };
    for (step, printed) in steps.iter().zip(said.split(&format!("{BETWEEN}\n"))) {
        if let Some(line) = fences::missing(&step.expected, printed) {
            bail!("`{}` does not print this line:\n{line}\nbut:\n{printed}", step.command);
        }
    }
    if let Some(step) = lasting {
        lab.say(format!("{host}$ {} &", step.command));
        stage.start(lab, host, &step.command)?;
    }
    Ok(())
}

/// A part of Prometheus' configuration, read by its own tool.
fn prometheus(stage: &Stage<'_>, block: &Block, host: &str) -> Result<()> {
    stage.write(host, "/etc/prometheus.yml", &block.text())?;
    stage.run(host, "promtool check config --syntax-only /etc/prometheus.yml", "").map(drop)
}
