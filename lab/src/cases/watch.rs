//! `standin watch` on a terminal of its own: a failover is seen, a move is ordered by keys.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use standin_sys::process::CommandExt;

use super::cluster::{Cluster, two_vips};
use super::{Case, beside};
use crate::daemon::Daemon;
use crate::sandbox::require;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, Host, World};

pub const CASES: &[Case] = &[beside(
    "watch_keys",
    "on a terminal: keys move a VIP, a failover and a lost daemon are seen",
    keys,
)];

/// `standin watch` on a terminal that a program makes for it.
struct Watch {
    child: Child,
    keys: ChildStdin,
    written: Arc<Mutex<String>>,
}

impl Watch {
    fn start(lab: &Lab, host: &Host, socket: &str) -> Result<Self> {
        let line = format!("{} watch --socket {socket} --interval 100ms", lab.standin().display());
        let mut command = host.command("script");
        command.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]);
        command.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.die_with_parent().spawn().context("script")?;
        let keys = child.stdin.take().context("its keys")?;
        let mut screen = child.stdout.take().context("its screen")?;
        let written = Arc::new(Mutex::new(String::new()));
        let kept = written.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            let mut rest = Vec::new();
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                rest.extend_from_slice(&bytes[..length]);
                let good =
                    std::str::from_utf8(&rest).map_or_else(|bad| bad.valid_up_to(), str::len);
                let text: Vec<u8> = rest.drain(..good).collect();
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_str(&String::from_utf8_lossy(&text));
            }
        });
        Ok(Self { child, keys, written })
    }

    /// The latest whole picture, a row each, without what only a terminal understands.
    fn screen(&self) -> String {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // Each picture stands between two marks (a synchronized update).
        let end = written.rfind("\x1b[?2026l").unwrap_or(0);
        let begin = written[..end].rfind("\x1b[?2026h").unwrap_or(0);
        let mut text = String::new();
        for piece in written[begin..end].split("\x1b[").skip(1) {
            let at = piece.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(0);
            let (sequence, rest) = piece.split_at(at);
            text.push_str(if rest.starts_with('H') && sequence.contains(';') { "\n" } else { "" });
            text.push_str(rest.get(1..).unwrap_or_default());
        }
        text
    }

    fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes()).context("press a key")
    }

    /// Waits until a row has all of these words.
    fn wait_row(&self, words: &[&str]) -> Result<()> {
        let is_there = || {
            let screen = self.screen();
            screen.lines().any(|line| words.iter().all(|word| line.contains(word)))
        };
        wait::until_true(&format!("a row with {words:?}"), PATIENCE, is_there)
            .with_context(|| self.screen())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keys(lab: &Lab) -> Result<()> {
    require("script", "bsdutils")?;
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    cluster.wait_at_home()?;
    let vip = Family::V4.vip(BRAIN);
    let name = vip.to_string();
    let mut watch = Watch::start(lab, &world.pinky, &cluster.socket(0))?;
    watch.wait_row(&["pinky in cluster lab"])?;
    watch.wait_row(&[&name, "brain is home"])?;
    lab.say("the keys select Brain's VIP and move it, after a question");
    watch.press("j")?;
    watch.wait_row(&["> ", &name])?;
    watch.press("m")?;
    watch.wait_row(&["> ", "pinky"])?;
    watch.press("\r")?;
    watch.wait_row(&[&format!("move {name} to pinky?")])?;
    ensure!(cluster.holders(vip) == ["brain"], "moved before it was confirmed");
    watch.press("y")?;
    cluster.wait_held_by(vip, "pinky")?;
    watch.wait_row(&["> ", &name, "pinky"])?;
    lab.say("it is explained, and moved back");
    watch.press("e")?;
    watch.wait_row(&[&name, "is on pinky"])?;
    watch.press("\x1b")?;
    watch.wait_row(&["> ", &name])?;
    watch.press("m")?;
    watch.wait_row(&["> ", "brain"])?;
    watch.press("\r")?;
    watch.wait_row(&[&format!("move {name} to brain?")])?;
    watch.press("y")?;
    cluster.wait_held_by(vip, "brain")?;
    lab.say("Brain dies");
    world.power_off(&world.brain)?;
    watch.wait_row(&["brain", "dead"])?;
    watch.wait_row(&["> ", &name, "pinky"])?;
    watch.wait_row(&[":", "brain is dead"])?;
    lab.say("Pinky's daemon goes and comes back");
    cluster.daemon(0, Daemon::stop)?;
    watch.wait_row(&["NOT NOW"])?;
    cluster.start_node(0)?;
    wait::until_true("it is asked again", PATIENCE, || !watch.screen().contains("NOT NOW"))
        .with_context(|| watch.screen())?;
    watch.press("q")?;
    let ended = wait::until("it ends", PATIENCE, || watch.child.try_wait().ok().flatten())?;
    ensure!(ended.success(), "it ended with {ended}");
    wait::until_true("its screen is given back", Duration::from_secs(2), || {
        let written = watch.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.contains("\x1b[?25h\x1b[?1049l")
    })?;
    wait::until_true("Brain's kernel drops what nobody renews", PATIENCE, || {
        !world.brain.has(vip)
    })?;
    cluster.stop_all()
}
