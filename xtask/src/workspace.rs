//! Where the workspace is, and the commands started in it.
//!
//! Owns the paths and the way a command is run and its failure reported. Never decides what to
//! run. A command inherits the terminal, so the output of every test runner reaches the log whole.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The environment variable by which the lab is told which `standin` to run.
const STANDIN_BINARY: &str = "STANDIN_BIN";

/// The source tree and its target directory.
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Asks cargo, so that `CARGO_TARGET_DIR` and cargo's own settings are respected.
    pub fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let output = Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
            .arg(manifest)
            .stderr(Stdio::inherit())
            .output()
            .context("cargo metadata did not start")?;
        if !output.status.success() {
            bail!("cargo metadata failed ({})", output.status);
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
        let path = |key: &str| {
            let text = metadata[key].as_str();
            text.map(PathBuf::from).with_context(|| format!("cargo metadata names no {key}"))
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")? })
    }

    /// The root of the source tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The release binary, which the lab and the documentation's checks run.
    pub fn standin(&self) -> PathBuf {
        self.target.join("release").join("standin")
    }

    /// Builds the binary that the lab runs, and the lab beside it: what they share is built once.
    pub fn build_release(&self) -> Result<()> {
        let packages = ["--package", "standin", "--package", "standin-lab"];
        self.cargo(&[["build", "--release", "--locked"].as_slice(), &packages].concat())
    }

    /// Runs the lab with `arguments`, telling it where the release binary is. It measures, so it is
    /// a release build as well.
    pub fn lab(&self, arguments: &[String]) -> Result<()> {
        let mut command = self.command(&cargo());
        command.args(["run", "--quiet", "--release", "--locked", "--package", "standin-lab", "--"]);
        command.args(arguments).env(STANDIN_BINARY, self.standin());
        run(&mut command)
    }

    /// Runs cargo in the workspace.
    pub fn cargo(&self, arguments: &[&str]) -> Result<()> {
        run(self.command(&cargo()).args(arguments))
    }

    /// A command that starts in the root of the workspace.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }
}

/// The cargo that started us, so that `cargo +toolchain xtask` stays with its toolchain.
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Shows the command, runs it to its end with our terminal, and turns a failure into an error that
/// repeats it.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line_of(command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("`{line}` did not start"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

fn line_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
