//! `standin run` when a daemon hangs, a service fails, or the key is exchanged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use standin_sys::signal::{SIGCONT, SIGHUP, SIGSTOP, SIGTERM};

use super::cluster::{Cluster, DEAD_AFTER, run, two_vips};
use super::{Case, alone, beside};
use crate::daemon::Daemon;
use crate::server::Page;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, World};

pub const CASES: &[Case] = &[
    beside("cluster_daemon_hangs", "the daemon hangs and wakes up: no second holder", daemon_hangs),
    beside("cluster_service_fails", "the service fails: handed over and given back", service_fails),
    beside(
        "cluster_fails_outside",
        "a service that answers its own host only: the others see it, and it moves",
        fails_outside,
    ),
    alone("cluster_key_rotation", "a new key in three steps: nobody goes unheard", key_rotation),
    beside(
        "cluster_reload_control",
        "another control socket, another mode: who asks at the old one is still answered",
        reload_control,
    ),
    beside(
        "cluster_reload_and_stop",
        "told to read its file and to stop at once, in either order: it stops",
        reload_and_stop,
    ),
    beside("cluster_stripped", "a VIP that another program strips is put back", stripped),
];

fn daemon_hangs(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    let vip = Family::V4.vip(BRAIN);
    cluster.wait_at_home()?;
    let client = world.ask(vip, 500)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    cluster.daemon(1, |daemon| daemon.signal(SIGSTOP))?;
    wait::until("Pinky has it", PATIENCE, || match cluster.holders(vip).as_slice() {
        ["pinky"] => Some(Ok(())),
        [_, _] => Some(Err(anyhow::anyhow!("two nodes hold {vip}"))),
        _ => None,
    })??;
    client.wait_answered_by("pinky", client.mark(), PATIENCE)?;
    lab.say("it wakes up");
    cluster.daemon(1, |daemon| daemon.signal(SIGCONT))?;
    // Brain is home: it takes its address back, by a planned move.
    cluster.wait_held_by(vip, "brain")?;
    client.wait_answered_by("brain", client.mark(), PATIENCE)?;
    let gap = client.finish().longest_gap();
    lab.say(format!("the client waited {} ms", gap.as_millis()));
    ensure!(gap <= Duration::from_millis(500), "the client waited {} ms", gap.as_millis());
    cluster.stop_all()
}

fn service_fails(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let (to_pinky, to_brain) = (world.pinky.serve_page()?, world.brain.serve_page()?);
    let vip = Family::V4.vip(BRAIN);
    let text = format!(
        "[[vip]]\naddress = \"{vip}\"\nhome = \"brain\"\ncheck = \"web\"\n\
         [check.web]\nhttp = \"http://{{vip}}/\"\nexpect-text = \"</html>\"\n\
         interval = \"100ms\"\nrise = 2\nfall = 3\n"
    );
    let cluster = Cluster::start(&world, 2, &text)?;
    cluster.wait_held_by(vip, "brain")?;
    let client = world.ask(vip, 500)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    lab.say("Brain's page ends in the middle");
    to_brain.show(Page::Broken);
    cluster.wait_held_by(vip, "pinky")?;
    let why = cluster.ask(0, &format!("explain {vip}"))?;
    ensure!(why.to_string().contains("brain fails its check"), "{why}");
    lab.say("and is whole again");
    to_brain.show(Page::Whole);
    cluster.wait_held_by(vip, "brain")?;
    lab.say("nobody's page is whole: it stays where it is");
    to_pinky.show(Page::Broken);
    cluster.wait(0, "check-failing")?;
    let mark = cluster.daemon(1, |daemon| Ok(daemon.mark()))?;
    to_brain.show(Page::Broken);
    cluster.daemon(1, |daemon| daemon.wait_after(mark, "check-failing", PATIENCE).map(drop))?;
    wait::throughout("Brain keeps it", 3 * DEAD_AFTER, || cluster.holders(vip) == ["brain"])?;
    let record = client.finish();
    ensure!(record.lost() == 0, "{} of {} were lost", record.lost(), record.sent());
    cluster.stop_all()
}

fn fails_outside(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = Family::V4.vip(BRAIN);
    let text = format!(
        "[[vip]]\naddress = \"{vip}\"\nhome = \"brain\"\ncheck = [\"web\", \"public\"]\n\
         [check.web]\nhttp = \"http://{{vip}}/\"\ninterval = \"100ms\"\nrise = 2\nfall = 3\n\
         [check.public]\nhttp = \"http://{{vip}}/\"\ninterval = \"100ms\"\nrise = 2\nfall = 3\n\
         from = \"peers\"\n"
    );
    let cluster = Cluster::start(&world, 3, &text)?;
    let pages = [0, 1, 2].map(|node| cluster.nodes[node].serve_page());
    let [to_pinky, to_brain, to_snowball] = pages;
    let (to_brain, _others) = (to_brain?, (to_pinky?, to_snowball?));
    cluster.wait_held_by(vip, "brain")?;
    for node in [0, 2] {
        wait::until_true("the others reach it", PATIENCE, || {
            cluster.ask(node, "status").is_ok_and(|status| passes(&status, "peers"))
        })?;
    }
    let client = world.ask(vip, 500)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    lab.say(
        "Brain serves nobody else at the VIP any more, but itself there and all at its own address",
    );
    to_brain.close(vip);
    wait::until_true("it is elsewhere", PATIENCE, || {
        matches!(cluster.holders(vip).as_slice(), ["pinky" | "snowball"])
    })?;
    let holder = cluster.holders(vip)[0];
    let why = cluster.ask(0, &format!("explain {vip}"))?.to_string();
    ensure!(why.contains("failed the check of the other nodes"), "{why}");
    wait::until_true("Brain's own check of itself passes", PATIENCE, || {
        cluster.ask(1, "status").is_ok_and(|status| passes(&status, "self"))
    })?;
    wait::throughout("it stays there", 5 * DEAD_AFTER, || cluster.holders(vip) == [holder])?;
    let record = client.finish();
    ensure!(record.lost() == 0, "{} of {} were lost", record.lost(), record.sent());
    lab.say("the operator knows better");
    cluster.ask(0, &format!("move {vip} brain"))?;
    cluster.wait_held_by(vip, "brain")?;
    lab.say("but is not right, and it moves again");
    wait::until_true("it is elsewhere", PATIENCE, || {
        matches!(cluster.holders(vip).as_slice(), ["pinky" | "snowball"])
    })?;
    cluster.stop_all()
}

/// Whether the check that is made from there passes.
fn passes(status: &Value, from: &str) -> bool {
    let checks = status["checks"].as_array();
    checks.is_some_and(|checks| {
        checks.iter().any(|check| check["from"] == from && check["state"] == "passing")
    })
}

fn key_rotation(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    cluster.wait_at_home()?;
    let client = world.ask(Family::V4.vip(BRAIN), 1000)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    let mark = cluster.daemon(0, |daemon| Ok(daemon.mark()))?;
    for step in ["learn", "switch", "forget"] {
        lab.say(step);
        // The hosts of the lab share a file system, and so the key file.
        let key = format!("{}/key", Lab::directory().display());
        run(lab, &world.pinky, &format!("keygen --rotate {key}"))?;
        for node in [1, 0] {
            let heard = cluster.daemon(node, |daemon| Ok(daemon.mark()))?;
            cluster.ask(node, "reload")?;
            let reloaded =
                |daemon: &Daemon| daemon.wait_after(heard, "reloaded", PATIENCE).map(drop);
            cluster.daemon(node, reloaded)?;
        }
    }
    wait::throughout("all is well", 3 * DEAD_AFTER, || {
        cluster.holders(Family::V4.vip(BRAIN)) == ["brain"]
    })?;
    // No session ends: nobody is heard anew, and nobody is new.
    for name in ["daemon-gone", "heartbeats-refused", "member-joined", "ready"] {
        let said = cluster.daemon(0, |daemon| {
            let lines = daemon.log().lines();
            let later = lines.iter().skip(mark).filter_map(|line| line.event.as_ref());
            Ok(later.filter(|event| event.name == name).count())
        })?;
        ensure!(said == 0, "Pinky said {name} {said} times");
    }
    let record = client.finish();
    ensure!(record.lost() == 0, "{} of {} were lost", record.lost(), record.sent());
    ensure!(record.moves() == 0, "it moved {} times", record.moves());
    cluster.stop_all()
}

fn reload_and_stop(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    cluster.wait_at_home()?;
    let path = format!("{}/brain.toml", Lab::directory().display());
    for signals in [[SIGHUP, SIGTERM], [SIGTERM, SIGHUP]] {
        let text = fs::read_to_string(&path).context("read the file")?;
        ensure!(text.contains("\"300ms\""), "{text}");
        fs::write(&path, text.replace("\"300ms\"", "\"400ms\"")).context("write the file")?;
        let status = cluster.daemon(1, |daemon| {
            signals.iter().try_for_each(|signal| daemon.signal(*signal))?;
            daemon.wait_end(PATIENCE)
        })?;
        ensure!(status.success(), "it ended with {status}");
        cluster.wait_held_by(Family::V4.vip(BRAIN), "pinky")?;
        cluster.start_node(1)?;
        cluster.wait_at_home()?;
    }
    cluster.stop_all()
}

fn reload_control(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    cluster.wait_at_home()?;
    let directory = Lab::directory().display().to_string();
    let (path, old) = (format!("{directory}/brain.toml"), format!("{directory}/brain.sock"));
    let new = format!("{directory}/moved.sock");
    let changed = |from: &str, to: &str| -> Result<()> {
        let text = fs::read_to_string(&path).context("read the file")?;
        ensure!(text.contains(from), "no {from} in {text}");
        fs::write(&path, text.replace(from, to)).context("write the file")
    };
    let ask = |socket: &str, command: &str| {
        run(lab, &world.brain, &format!("{command} --json --socket {socket}"))
    };
    changed("brain.sock", "moved.sock")?;
    ask(&old, "reload")?;
    ask(&new, "status")?;
    ensure!(!Path::new(&old).exists(), "the old socket is still there");
    lab.say("and with other rights, at the same place");
    changed("[control]", "[control]\nmode = \"0600\"")?;
    ask(&new, "reload")?;
    let mode = fs::metadata(&new).context("the socket")?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "its mode is {mode:o}");
    lab.say("and is made anew after somebody removed it");
    fs::remove_file(&new).context("remove the socket")?;
    let mark = cluster.daemon(1, |daemon| Ok(daemon.mark()))?;
    cluster.daemon(1, |daemon| daemon.signal(SIGHUP))?;
    cluster.daemon(1, |daemon| daemon.wait_after(mark, "reloaded", PATIENCE).map(drop))?;
    ask(&new, "status")?;
    lab.say("and one that cannot be is refused, with all else in the file");
    changed("moved.sock", "nowhere/moved.sock")?;
    let said = ask(&new, "reload").err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(said.contains("nowhere"), "{said}");
    changed("nowhere/moved.sock", "brain.sock")?;
    ask(&new, "reload")?;
    ask(&old, "status")?;
    ensure!(!Path::new(&new).exists(), "the socket it had meanwhile is still there");
    cluster.wait_at_home()?;
    cluster.stop_all()
}

fn stripped(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    let vip = Family::V4.vip(BRAIN);
    cluster.wait_at_home()?;
    world.brain.remove_address(vip)?;
    cluster.wait(1, "stripped")?;
    cluster.wait_held_by(vip, "brain")?;
    world.ask(vip, 200)?.wait_answered_by("brain", 0, PATIENCE)?;
    wait::throughout("it stays", 2 * DEAD_AFTER, || cluster.holders(vip) == ["brain"])?;
    cluster.stop_all()
}
