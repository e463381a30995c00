//! A service manager around `standin run`: what it is told, and what the run has given up by then.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use standin_sys::signal::{SIGHUP, SIGSTOP, SIGUSR2};

use super::{Case, beside};
use crate::daemon::Daemon;
use crate::story::Lab;
use crate::wait::PATIENCE;
use crate::world::{BRAIN, Family, Host, PINKY, World};

pub const CASES: &[Case] = &[
    beside("manager_told", "a service manager: ready, alive, reloading, stopping", told),
    beside("manager_hungry", "a daemon that hangs leaves the watchdog hungry", hungry),
    beside(
        "confined",
        "a run gives up what it can do without, and takes over all the same",
        confined,
    ),
];

/// Fed every quarter of it.
const WATCHDOG: Duration = Duration::from_millis(400);

/// A service manager's ear.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new() -> Result<Self> {
        let path = format!("{}/notify", Lab::directory().display());
        let socket = UnixDatagram::bind(&path).context("the manager's socket")?;
        Ok(Self { socket, path })
    }

    fn manage(&self, command: &mut Command) {
        let micros = WATCHDOG.as_micros().to_string();
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", micros);
    }

    /// The next message that holds `wanted`.
    fn wait(&self, wanted: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "the manager was never told {wanted}");
            let Some(message) = self.hear(left)? else { continue };
            if message.lines().any(|line| line.starts_with(wanted)) {
                return Ok(message);
            }
        }
    }

    /// The next message within a time.
    fn hear(&self, within: Duration) -> Result<Option<String>> {
        self.socket.set_read_timeout(Some(within))?;
        let mut buffer = [0; 4096];
        match self.socket.recv(&mut buffer) {
            Ok(length) => Ok(Some(String::from_utf8_lossy(&buffer[..length]).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("listen as the manager"),
        }
    }
}

/// Writes Pinky's file and key.
fn write(host: &Host, lab: &Lab, hooks: &str) -> Result<String> {
    let directory = Lab::directory().display();
    let key = format!("{directory}/key");
    if fs::metadata(&key).is_err() {
        super::cluster::run(lab, host, &format!("keygen {key}"))?;
    }
    let (pinky, brain) = (Family::V4.real(PINKY), Family::V4.real(BRAIN));
    let text = format!(
        "cluster = \"lab\"\nkey-file = \"{key}\"\n[nodes]\npinky = \"{pinky}\"\nbrain = \"{brain}\"\n\
         [[vip]]\naddress = \"{}\"\nhome = \"pinky\"\n[timing]\ndead-after = \"200ms\"\n\
         [control]\nsocket = \"{directory}/pinky.sock\"\n{hooks}",
        Family::V4.vip(PINKY)
    );
    let file = format!("{directory}/pinky.toml");
    fs::write(&file, text).context("write the file of the cluster")?;
    Ok(file)
}

fn start(lab: &Lab, host: &Host, file: &str, manager: Option<&Manager>) -> Result<Daemon> {
    let mut command = host.command(lab.standin());
    command.args(["run", file, "--node", "pinky", "--log", "json", "--log-level", "debug"]);
    if let Some(manager) = manager {
        manager.manage(&mut command);
    }
    host.start(lab, "standin run", &mut command)
}

fn told(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let manager = Manager::new()?;
    let file = write(&world.pinky, lab, "")?;
    let daemon = start(lab, &world.pinky, &file, Some(&manager))?;
    let first = manager.wait("READY=1")?;
    ensure!(first.contains("WATCHDOG=1") && first.contains("STATUS="), "{first}");
    lab.say("its line follows what happens, and it is fed again and again");
    if !first.contains("STATUS=1 of 1 VIPs here") {
        manager.wait("STATUS=1 of 1 VIPs here")?;
    }
    for _ in 0..5 {
        manager.wait("WATCHDOG=1")?;
    }
    let mark = daemon.mark();
    daemon.signal(SIGHUP)?;
    ensure!(manager.wait("RELOADING=1")?.contains("MONOTONIC_USEC="), "without the time");
    manager.wait("READY=1")?;
    daemon.wait_after(mark, "reloaded", PATIENCE)?;
    lab.say("the signal of a restart keeps everything");
    daemon.signal(SIGUSR2)?;
    let last = manager.wait("STOPPING=1")?;
    ensure!(last.contains("STATUS=leaving everything"), "{last}");
    ensure!(daemon.wait_end(PATIENCE)?.success(), "it did not end well");
    ensure!(world.pinky.has(Family::V4.vip(PINKY)), "the VIP has gone");
    Ok(())
}

fn hungry(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let manager = Manager::new()?;
    let file = write(&world.pinky, lab, "")?;
    let daemon = start(lab, &world.pinky, &file, Some(&manager))?;
    manager.wait("READY=1")?;
    daemon.signal(SIGSTOP)?;
    while manager.hear(Duration::from_millis(10))?.is_some() {}
    ensure!(manager.hear(3 * WATCHDOG)?.is_none(), "fed by a daemon that hangs");
    daemon.process().kill()
}

fn confined(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let file = write(&world.pinky, lab, "")?;
    let daemon = start(lab, &world.pinky, &file, None)?;
    let event = daemon.wait("confined")?;
    daemon.wait("claimed")?;
    lab.say(format!("confined: {}", event.message()));
    ensure!(event.message().contains("no program can be started"), "{}", event.message());
    lab.say("a file with a hook is refused: nothing could run it");
    write(&world.pinky, lab, "[hooks]\non-take = \"/bin/true\"\n")?;
    let mark = daemon.mark();
    daemon.signal(SIGHUP)?;
    let refused = daemon.wait_after(mark, "reload-refused", PATIENCE)?;
    ensure!(refused.message().contains("starting programs"), "{}", refused.message());
    lab.say("one without is taken up: the file and the key can still be read");
    let changed = fs::read_to_string(&file)?.replace("[hooks]\non-take = \"/bin/true\"\n", "");
    fs::write(&file, changed.replace("200ms", "300ms"))?;
    let mark = daemon.mark();
    daemon.signal(SIGHUP)?;
    daemon.wait_after(mark, "reloaded", PATIENCE)?;
    ensure!(world.pinky.has(Family::V4.vip(PINKY)), "the VIP has gone");
    daemon.stop()?;
    let socket = format!("{}/pinky.sock", Lab::directory().display());
    ensure!(fs::metadata(&socket).is_err(), "the control socket is still there");
    Ok(())
}
