//! Three hosts on one segment, for the pages of the documentation.
//!
//! A host has its own network, its name, its own `/etc` (a copy of this machine's), `/run/standin`
//! and home; addresses and everything else come from the page. `sudo` and `systemctl` are small
//! programs that do what they would do to our units.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use standin_core::wire::Mac;
use standin_sys::process::CommandExt;

use crate::daemon::Daemon;
use crate::sandbox;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{Host, Switch};

/// In seconds: a script that takes longer hangs.
const LIMIT: &str = "60";
const NAMES: [&str; 3] = ["pinky", "brain", "snowball"];

/// Enters a host: its files, its name, its home. What follows is the script.
const ENTER: &str = r#"
mount --bind "$1/etc" /etc
mkdir -p /run/standin
mount --bind "$1/run" /run/standin
echo "$2" >/proc/sys/kernel/hostname
cd "$1/home"
export HOME="$1/home" PATH="$1/bin:$PATH"
exec bash -euo pipefail -c "$3"
"#;

/// Programs that a namespace has no use for, or cannot have.
const STAND_INS: [(&str, &str); 4] = [
    ("sudo", "#!/bin/sh\nexec \"$@\"\n"),
    ("cargo", include_str!("cargo.sh")),
    ("systemctl", include_str!("systemctl.sh")),
    // `recorder NAME`: from now on NAME is a program that notes how it was called, and succeeds.
    ("recorder", include_str!("recorder.sh")),
];

/// The hosts of a page.
pub struct Stage<'l> {
    lab: &'l Lab,
    hosts: BTreeMap<&'static str, Host>,
    daemons: RefCell<Vec<Daemon>>,
    _switch: Switch,
}

impl<'l> Stage<'l> {
    /// Three hosts without addresses.
    pub fn new(lab: &'l Lab) -> Result<Self> {
        let switch = Switch::new()?;
        let segment = switch.add_segment("lan")?;
        let mut hosts = BTreeMap::new();
        for (number, name) in (1..).zip(NAMES) {
            let host = Host::new(name)?;
            let port = switch.add_port(segment, name, "eth0", host.namespace())?;
            host.attach("eth0", Mac([2, 0, 0, 0, 1, number]), port)?;
            furnish(lab, name)?;
            hosts.insert(name, host);
        }
        let stage = Self { lab, hosts, daemons: RefCell::default(), _switch: switch };
        for name in NAMES {
            stage.run(name, "ip link set lo up", "")?;
        }
        Ok(stage)
    }

    /// Runs a script to its end, in which it must not fail; what it printed.
    pub fn run(&self, host: &str, script: &str, environment: &str) -> Result<String> {
        let mut command = self.command(host, script, environment)?;
        let output = command.stdin(Stdio::null()).output().context("unshare did not start")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, wrong) = (text(&output.stdout), text(&output.stderr));
        if output.status.success() {
            return Ok(said);
        }
        bail!("on {host} this ends with {}:\n{script}\n{said}{wrong}", output.status)
    }

    /// Writes a script into a file and runs that, with these variables.
    pub fn script(&self, host: &str, text: &str, environment: &str) -> Result<()> {
        self.write(host, "/etc/the-script", text)?;
        let run = "chmod 0755 /etc/the-script && /etc/the-script";
        self.run(host, run, environment).map(drop)
    }

    /// Starts a command that does not end by itself.
    pub fn start(&self, lab: &Lab, host: &str, script: &str) -> Result<()> {
        let mut command = self.inside(host, self.host(host)?.command("unshare"), script);
        let daemon = self.host(host)?.start(lab, script, &mut command)?;
        let begun = || !daemon.log().lines().is_empty() || daemon.process().ended().is_some();
        wait::until_true("it says something", PATIENCE, begun)?;
        if let Some(status) = daemon.process().ended() {
            bail!("it should stay, and ends with {status}:\n{}", daemon.text());
        }
        self.daemons.borrow_mut().push(daemon);
        Ok(())
    }

    /// Ends everything that was started and does not end by itself, as a stop would; it ends well.
    pub fn end_all(&self) -> Result<()> {
        self.daemons.borrow_mut().drain(..).try_for_each(|daemon| daemon.stop())
    }

    /// Writes a file of a host, below its `/etc`.
    pub fn write(&self, host: &str, path: &str, text: &str) -> Result<()> {
        self.host(host)?;
        let inner = path.strip_prefix("/etc/").context("a file below /etc")?;
        let path = directory(host).join("etc").join(inner);
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    fn host(&self, name: &str) -> Result<&Host> {
        self.hosts.get(name).with_context(|| format!("no host is called {name:?}: {NAMES:?} are"))
    }

    fn command(&self, host: &str, script: &str, environment: &str) -> Result<Command> {
        let mut command = self.host(host)?.command("timeout");
        command.args([LIMIT, "unshare"]);
        let mut command = self.inside(host, command, script);
        let variables = environment.split_whitespace().filter_map(|word| word.split_once('='));
        command.envs(variables).die_with_parent();
        Ok(command)
    }

    /// A script inside of a host, behind `unshare`.
    fn inside(&self, host: &str, mut command: Command, script: &str) -> Command {
        command.args(["--mount", "--uts", "bash", "-euo", "pipefail", "-c", ENTER, "stage"]);
        command.arg(directory(host)).args([host, script]).env_remove("NOTIFY_SOCKET");
        let release = self.lab.standin().parent().unwrap_or(Path::new("/"));
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", release.display()));
        command
    }
}

fn directory(host: &str) -> PathBuf {
    Path::new(sandbox::DIRECTORY).join("stage").join(host)
}

/// The files of a host.
fn furnish(lab: &Lab, name: &str) -> Result<()> {
    let directory = directory(name);
    for part in ["etc", "run", "home", "bin"] {
        fs::create_dir_all(directory.join(part)).context("the directories of a host")?;
    }
    // What an ordinary user cannot read is left out, and nobody here wants it.
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--no-preserve=ownership", "/etc/."]).arg(directory.join("etc"));
    copy.stderr(Stdio::null()).status().context("cp did not start")?;
    let etc = directory.join("etc");
    fs::create_dir_all(etc.join("standin")).context("/etc/standin")?;
    for (file, text) in
        [("hostname", format!("{name}\n")), ("hosts", "127.0.0.1 localhost\n".into())]
    {
        let path = etc.join(file);
        let _ = fs::remove_file(&path);
        fs::write(path, text).with_context(|| format!("/etc/{file}"))?;
    }
    for (program, text) in STAND_INS {
        let path = directory.join("bin").join(program);
        fs::write(&path, text).context(program)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context(program)?;
    }
    lab.say(format!("{name} is furnished"));
    Ok(())
}
