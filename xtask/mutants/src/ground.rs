//! The copy of the core, and its builds.
//!
//! Owns the directory in the target directory where the copy is. A fault that does not compile is
//! found where the compiler complains, and left out of the next build.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::plant::{Fault, Planter, question};

/// Builds until all that is left compiles.
const ROUNDS_MOST: usize = 30;

pub struct Ground {
    /// Read once: who edits meanwhile edits for the next run.
    sources: Vec<(PathBuf, String)>,
    root: PathBuf,
    skipped: BTreeSet<u32>,
}

impl Ground {
    pub fn new(source: &Path, root: &Path) -> Result<Self> {
        fs::create_dir_all(root.join("core")).with_context(|| root.display().to_string())?;
        let manifest = fs::read_to_string(source.join("Cargo.toml")).context("Cargo.toml")?;
        // The dependencies' versions, and nothing else of the workspace.
        let offered = manifest
            .lines()
            .skip_while(|line| !line.starts_with("[workspace.package]"))
            .take_while(|line| !line.starts_with("[workspace.lints"))
            .filter(|line| !line.starts_with("standin") || line.starts_with("standin-core"));
        let offered: Vec<&str> = offered.collect();
        let own = format!(
            "[workspace]\nresolver = \"3\"\nmembers = [\"core\", \"sim\"]\n\n{}\n\n[profile.dev]\nopt-level \
             = 1\ndebug = false\nincremental = true\n",
            offered.join("\n")
        );
        write_if_new(&root.join("Cargo.toml"), &own)?;
        let lock = fs::read_to_string(source.join("Cargo.lock")).context("Cargo.lock")?;
        fs::write(root.join("Cargo.lock"), lock).context("copy Cargo.lock")?;
        for package in ["core", "sim"] {
            let (from, to) = (source.join(package), root.join(package));
            let manifest = fs::read_to_string(from.join("Cargo.toml")).context(package)?;
            let manifest = manifest.replace("[lints]\nworkspace = true\n", "");
            write_if_new(&to.join("Cargo.toml"), &manifest)?;
            copy(&from.join("tests"), &to.join("tests"))?;
        }
        copy(&source.join("sim/src"), &root.join("sim/src"))?;
        let from = source.join("core/src");
        let mut sources = Vec::new();
        for path in rust_files(&from)? {
            let text = fs::read_to_string(&path).context("read a source file")?;
            sources.push((path.strip_prefix(&from).context("a file of the core")?.into(), text));
        }
        Ok(Self { sources, root: root.to_owned(), skipped: BTreeSet::new() })
    }

    /// Plants every fault that is not skipped into the copy.
    pub fn plant(&self) -> Result<Vec<Fault>> {
        let mut planter = Planter::new(&self.skipped);
        let mut root = String::new();
        for (inner, text) in &self.sources {
            let mut syntax = syn::parse_file(text).with_context(|| inner.display().to_string())?;
            planter.plant(&format!("core/src/{}", inner.display()), &mut syntax);
            let text = prettyplease::unparse(&syntax);
            if inner == Path::new("lib.rs") {
                root = text;
            } else {
                write_if_new(&self.root.join("core/src").join(inner), &text)?;
            }
        }
        let asked = question(planter.faults.len());
        root.push_str(&prettyplease::unparse(&syn::parse2(asked).context("the question")?));
        write_if_new(&self.root.join("core/src/lib.rs"), &root)?;
        Ok(planter.faults)
    }

    /// Plants and builds until everything compiles; all faults, and which do not compile.
    pub fn build(&mut self) -> Result<(Vec<Fault>, Vec<u32>)> {
        for round in 1..=ROUNDS_MOST {
            let faults = self.plant()?;
            let failing = self.complaints()?;
            if failing.is_empty() {
                return Ok((faults, self.skipped.iter().copied().collect()));
            }
            println!("    build {round}: {} faults do not compile", failing.len());
            self.skipped.extend(failing);
        }
        bail!("it does not compile after {ROUNDS_MOST} rounds")
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        command.args(arguments).arg("--message-format=json").current_dir(&self.root);
        command.env("CARGO_TARGET_DIR", self.root.join("target"));
        command.env("RUSTFLAGS", "--cap-lints=allow").stderr(Stdio::null());
        command
    }

    /// The faults at which the compiler complains.
    fn complaints(&self) -> Result<BTreeSet<u32>> {
        let output = self
            .cargo(&["check", "--package", "standin-core", "--lib"])
            .output()
            .context("cargo check")?;
        let mut failing = BTreeSet::new();
        let mut lost = Vec::new();
        for line in output.stdout.split(|byte| *byte == b'\n') {
            let Ok(told) = serde_json::from_slice::<Value>(line) else { continue };
            let message = &told["message"];
            if message["level"] != "error" {
                continue;
            }
            let Some(spans) = message["spans"].as_array() else { continue };
            let found: Vec<u32> = spans.iter().filter_map(|span| self.fault_at(span)).collect();
            if found.is_empty() && !spans.is_empty() {
                lost.push(message["rendered"].as_str().unwrap_or_default().to_owned());
            }
            failing.extend(found);
        }
        ensure!(
            output.status.success() || !failing.is_empty(),
            "the copy does not compile, and not for a fault:\n{}",
            lost.join("\n")
        );
        Ok(failing)
    }

    /// The question that stands next before a place in the copy.
    fn fault_at(&self, span: &Value) -> Option<u32> {
        let file = span["file_name"].as_str()?;
        let text = fs::read_to_string(self.root.join(file)).ok()?;
        let line = usize::try_from(span["line_start"].as_u64()?).ok()?;
        let column = usize::try_from(span["column_start"].as_u64()?).ok()?;
        let lines: Vec<&str> = text.lines().collect();
        let begin = line.saturating_sub(8);
        let mut near = lines.get(begin..line - 1)?.join("\n");
        near.push('\n');
        near.extend(lines.get(line - 1)?.chars().take(column));
        let place = near.rfind("mutation::on(")? + "mutation::on(".len();
        let digits: String = near[place..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }

    /// The test programs.
    pub fn tests(&self) -> Result<Vec<PathBuf>> {
        let output =
            self.cargo(&["test", "--no-run", "--workspace"]).output().context("cargo test")?;
        ensure!(output.status.success(), "the tests of the copy do not build");
        let lines = output.stdout.split(|byte| *byte == b'\n');
        let told = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let tests = told.filter(|told| told["profile"]["test"] == true);
        let programs = tests.filter_map(|told| told["executable"].as_str().map(PathBuf::from));
        Ok(programs.collect())
    }
}

/// What has not changed is not built again.
fn write_if_new(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    fs::write(path, text).with_context(|| path.display().to_string())
}

fn rust_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in directory.read_dir().with_context(|| directory.display().to_string())? {
        let path = entry.context("read a directory")?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in from.read_dir().with_context(|| from.display().to_string())? {
        let path = entry.context("read a directory")?.path();
        let target = to.join(path.file_name().context("an entry has a name")?);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            write_if_new(&target, &fs::read_to_string(&path).context("read a test")?)?;
        }
    }
    Ok(())
}
