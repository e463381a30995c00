//! `cargo xtask sim`: seeds in the simulator, and proof that it can fail.
//!
//! Owns the planted faults and the way one is planted: as a change of the text of a copy of the
//! core, in the target directory, where nothing else is built from it. Never changes the core
//! itself. Invariant: a fault whose text is no longer found is an error, not a success.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::faults::OF_LEASES;
use crate::workspace::{self, Workspace};

/// A planted fault is to be found within so many seeds.
const SEEDS_PER_FAULT: u64 = 2000;

/// What to run.
#[derive(Args)]
pub struct Options {
    /// So many seeds, each twice.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Each once: for long runs. That it comes out alike the second time, shorter ones show.
    #[arg(long, conflicts_with_all = ["seed", "mutants"])]
    once: bool,
    /// One seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from", "mutants"])]
    seed: Option<u64>,
    /// Tell what happens in it.
    #[arg(long, requires = "seed")]
    story: bool,
    /// Plant faults in copies of the core instead: each must be found within 2000 seeds.
    #[arg(long)]
    mutants: bool,
    /// With --mutants: this one only (repeatable).
    #[arg(long, value_name = "NAME", requires = "mutants")]
    only: Vec<String>,
}

/// A change of the text of one file.
pub struct Change {
    file: &'static str,
    /// Stands in it exactly once.
    old: &'static str,
    new: &'static str,
}

/// A planted fault.
pub struct Fault {
    /// What it is called.
    pub name: &'static str,
    /// How it is planted.
    pub changes: &'static [Change],
    /// In seeds of this authority alone.
    pub only: Option<&'static str>,
}

/// In a file below `core/src`.
pub const fn change(file: &'static str, old: &'static str, new: &'static str) -> Change {
    Change { file, old, new }
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "announce before the acknowledgement",
        only: None,
        changes: &[change(
            "vip/act.rs",
            "        self.answers.outdate();\n        self.send_add(around);\n    }\n\n    pub(super) fn send_add",
            "        self.answers.outdate();\n        self.announce_now(around);\n        \
             self.send_add(around);\n    }\n\n    pub(super) fn send_add",
        )],
    },
    Fault {
        name: "ignore a lost acknowledgement",
        only: None,
        changes: &[change(
            "vip/mod.rs",
            "                        Some(_) => self.send_add(around),\n",
            "                        Some(_) => {}\n",
        )],
    },
    Fault {
        name: "accept a replay",
        only: None,
        changes: &[change(
            "heartbeat/session.rs",
            "Place::Heard | Place::Below => Verdict::Rejected(Rejected::Replayed),",
            "Place::Heard | Place::Below => return self.newest(opened, false),",
        )],
    },
    Fault {
        name: "believe any incarnation",
        only: None,
        changes: &[change(
            "heartbeat/session.rs",
            "if self.challenge.is_some() && opened.header().response == self.challenge {",
            "if self.own != incarnation {",
        )],
    },
    Fault {
        name: "forget to announce again after a heal",
        only: None,
        changes: &[change(
            "vip/mod.rs",
            "            held.announcer.restart(around.now);\n            self.announce(around);",
            "            let _ = around.now;",
        )],
    },
    Fault {
        name: "drop the newcomer's wait",
        only: None,
        changes: &[change(
            "cluster/mod.rs",
            "            ready: false,",
            "            ready: true,",
        )],
    },
    Fault {
        name: "answer while giving away",
        only: None,
        changes: &[
            change(
                "vip/giving.rs",
                "        self.mute();\n        around.actions.push_back(Action::QuietAddress { vip: \
                 self.id, quiet });",
                "        self.mute();",
            ),
            change(
                "vip/giving.rs",
                "Quiet::On { done: false, able: true },",
                "Quiet::On { done: true, able: false },",
            ),
        ],
    },
    Fault {
        name: "resume without asking",
        only: None,
        changes: &[change(
            "vip/giving.rs",
            "            held.resuming = Some(Ask::after_first(around.now, around.ask_window));\n",
            "            held.resuming = None;\n            self.quiet(around, false);\n",
        )],
    },
    Fault {
        name: "claim without announcing",
        only: None,
        changes: &[change(
            "vip/state.rs",
            "            announcer: Announcer::new(now, slowly),",
            "            announcer: Announcer::new(now + Duration::from_secs(60), slowly),",
        )],
    },
    Fault {
        name: "claim without asking",
        only: None,
        changes: &[change(
            "vip/mod.rs",
            "                } else {\n                    self.ask(around);\n                }",
            "                } else {\n                    self.add(around);\n                }",
        )],
    },
    Fault {
        name: "take before the giver is quiet",
        only: None,
        changes: &[change(
            "cluster/handover.rs",
            "if other.is_some_and(|other| other.quiet_for_us) {",
            "if other.is_some_and(|other| other.offers_us) {",
        )],
    },
    Fault {
        name: "the loser does not withdraw",
        only: None,
        changes: &[change(
            "node/cluster/settle.rs",
            "Course::Keep | Course::Claim | Course::ClaimWhenSilent | Course::Resolve => mine,",
            "Course::Resolve => true,\n                Course::Keep | Course::Claim | \
             Course::ClaimWhenSilent => mine,",
        )],
    },
    Fault {
        name: "a word said before the silence is no news",
        only: None,
        changes: &[change(
            "node/cluster/hear.rs",
            "self.undecided |= changed || counts || new_incarnation;",
            "let _ = counts;\n        self.undecided |= changed || new_incarnation;",
        )],
    },
    Fault {
        name: "take a refused removal for done",
        only: None,
        changes: &[change(
            "vip/mod.rs",
            "        if let Err(why) = result {\n            if !core::mem::replace(refused, true) {",
            "        if let Err(why) = result.and(Err(String::new())).or(Ok::<(), String>(())) {\n            \
             if !core::mem::replace(refused, true) {",
        )],
    },
    Fault {
        name: "keep everything when cut off",
        only: None,
        changes: &[change(
            "node/cluster/mod.rs",
            "let isolated = !references.is_empty()",
            "let isolated = references.len() > 1",
        )],
    },
    Fault {
        name: "never renew",
        only: None,
        changes: &[change(
            "vip/act.rs",
            "            held.renew_at = now + RENEW_INTERVAL;\n            self.send_add(around);",
            "            held.renew_at = now + RENEW_INTERVAL;",
        )],
    },
    Fault {
        name: "stop without handing over or removing",
        only: None,
        changes: &[change(
            "node/mod.rs",
            "let gone = self.vips.iter().all(|vip| !vip.is_on_host());",
            "let gone = true;",
        )],
    },
    Fault {
        name: "spin",
        only: None,
        changes: &[change(
            "vip/act.rs",
            "            held.renew_at = now + RENEW_INTERVAL;\n            self.send_add(around);",
            "            self.send_add(around);",
        )],
    },
];

/// Runs seeds, or the planted faults.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.mutants {
        return find_faults(workspace, &options.only);
    }
    let arguments = if let Some(seed) = options.seed {
        vec!["--seed".to_owned(), seed.to_string()]
    } else {
        let (seeds, from) = (options.seeds.to_string(), options.from.to_string());
        let once = options.once.then(|| "--once".to_owned());
        ["--seeds".to_owned(), seeds, "--from".to_owned(), from].into_iter().chain(once).collect()
    };
    let story = options.story.then(|| "--story".to_owned());
    let arguments: Vec<String> = arguments.into_iter().chain(story).collect();
    seeds(workspace, &arguments)
}

/// Runs the simulator with these arguments.
pub fn seeds(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let mut command = workspace.command(&workspace::cargo());
    command.args(["run", "--quiet", "--release", "--locked", "--package", "standin-sim", "--"]);
    workspace::run(command.args(arguments))
}

fn find_faults(workspace: &Workspace, only: &[String]) -> Result<()> {
    let ground = Ground::new(workspace)?;
    if only.is_empty() {
        let clean = ground.run(None, SEEDS_PER_FAULT / 4)?;
        ensure!(clean.is_none(), "the core as it is fails: {}", clean.unwrap_or_default());
        println!("    (nothing planted)                               nothing found");
    }
    let mut missed = Vec::new();
    for fault in FAULTS
        .iter()
        .chain(OF_LEASES)
        .filter(|fault| only.is_empty() || only.iter().any(|o| fault.name.contains(o.as_str())))
    {
        let begun = Instant::now();
        let found = ground.run(Some(fault), SEEDS_PER_FAULT)?;
        let seconds = begun.elapsed().as_secs();
        if let Some(how) = found {
            println!("    {:<46}  {how}  ({seconds} s)", fault.name);
        } else {
            println!("    {:<46}  NOT FOUND  ({seconds} s)", fault.name);
            missed.push(fault.name);
        }
    }
    if missed.is_empty() { Ok(()) } else { bail!("not found: {}", missed.join(", ")) }
}

/// Where copies of the core are changed and built.
struct Ground {
    root: PathBuf,
    source: PathBuf,
}

impl Ground {
    fn new(workspace: &Workspace) -> Result<Self> {
        let root = workspace.target().join("sim-faults");
        let source = workspace.root().to_path_buf();
        fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
        let manifest = fs::read_to_string(source.join("Cargo.toml")).context("read Cargo.toml")?;
        let start = manifest.find("members = [").context("Cargo.toml lists its members")?;
        let length = manifest[start..].find(']').context("Cargo.toml lists its members")? + 1;
        let mut own = manifest.clone();
        own.replace_range(start..start + length, "members = [\"core\", \"sim\"]");
        let own: Vec<&str> = own
            .lines()
            .filter(|line| !line.starts_with("default-members") && !line.starts_with("standin-sys"))
            .map(|line| if line.starts_with("lto") { "lto = false" } else { line })
            .map(|line| if line.starts_with("codegen-units") { "codegen-units = 16" } else { line })
            .collect();
        fs::write(root.join("Cargo.toml"), own.join("\n")).context("write Cargo.toml")?;
        fs::copy(source.join("Cargo.lock"), root.join("Cargo.lock")).context("copy Cargo.lock")?;
        Ok(Self { root, source })
    }

    /// Plants a fault in a fresh copy and runs seeds; how it was found.
    fn run(&self, fault: Option<&Fault>, seeds: u64) -> Result<Option<String>> {
        for package in ["core", "sim"] {
            let to = self.root.join(package);
            if to.is_dir() {
                fs::remove_dir_all(&to).with_context(|| format!("remove {}", to.display()))?;
            }
            copy(&self.source.join(package).join("src"), &to.join("src"))?;
            let manifest = self.source.join(package).join("Cargo.toml");
            fs::copy(manifest, to.join("Cargo.toml")).context("copy a manifest")?;
        }
        for change in fault.into_iter().flat_map(|fault| fault.changes) {
            self.plant(change)?;
        }
        let built =
            self.cargo(&["build", "--quiet", "--release", "--package", "standin-sim"]).status();
        ensure!(built.context("cargo")?.success(), "{:?} does not compile", fault.map(|f| f.name));
        let seeds = seeds.to_string();
        let binary = self.root.join("target/release/standin-sim");
        let mut command = Command::new(binary);
        command.args(["--seeds", &seeds]);
        if let Some(only) = fault.and_then(|fault| fault.only) {
            command.args(["--only", only]);
        }
        let output = command.output().context("run seeds")?;
        // Somebody else's signal finds no fault.
        ensure!(output.status.code().is_some(), "the seeds ended with {}", output.status);
        if output.status.success() {
            return Ok(None);
        }
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = printed.lines().find(|line| line.contains("FAILED")).map(str::to_owned);
        Ok(Some(found.unwrap_or_else(|| format!("it ended with {}", output.status))))
    }

    fn plant(&self, change: &Change) -> Result<()> {
        let path = self.root.join("core/src").join(change.file);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", change.file))?;
        let count = text.matches(change.old).count();
        ensure!(count == 1, "{} holds {count} times: {}", change.file, change.old);
        fs::write(&path, text.replace(change.old, change.new)).context("write a fault")
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(workspace::cargo());
        command.args(arguments).current_dir(&self.root).stderr(Stdio::inherit());
        command.env("CARGO_TARGET_DIR", self.root.join("target"));
        command
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for entry in from.read_dir().with_context(|| format!("read {}", from.display()))? {
        let entry = entry.context("read a directory")?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).context("copy a file")?;
        }
    }
    Ok(())
}
