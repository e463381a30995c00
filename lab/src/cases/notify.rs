//! Webhooks of a cluster: a receiver hears the whole story, signed and in order, whatever it was
//! like in between.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cluster::{Cluster, two_vips};
use super::{Case, beside};
use crate::receiver::{Receiver, Told};
use crate::sandbox::require;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, World};

pub const CASES: &[Case] = &[beside(
    "webhook_failover",
    "a webhook that refuses and fails first hears the failover, signed and in order",
    failover,
)];

const PORT: u16 = 8099;
const SECRET: &str = "not-a-secret-but-an-example";
const OTHER_SECRET: &str = "another-one-that-is-none-either";

/// As the receiver's shell does it in docs/OPERATIONS.md.
const VERIFY: &str = r#"
t=${signature#t=}; t=${t%%,*}
{ printf '%s.' "$t"; cat; } | openssl dgst -sha256 -hmac "$secret" -r | \
    grep -q "^${signature#*v1=} "
"#;

fn is_signed_with(secret: &str, told: &Told) -> Result<bool> {
    use std::io::Write;
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", VERIFY]).stdin(Stdio::piped());
    shell.env("secret", secret).env("signature", told.header("standin-signature"));
    let mut child = shell.spawn().context("bash")?;
    child.stdin.take().context("its input")?.write_all(told.body.as_bytes())?;
    Ok(child.wait()?.success())
}

fn write_secret(text: &str) -> Result<String> {
    let path = Lab::directory().join("webhook-secret");
    fs::write(&path, text).context("the secret")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(path.display().to_string())
}

/// Each event that was taken, in order.
fn taken(receiver: &Receiver) -> Vec<Value> {
    let told = receiver.told().into_iter().filter(|told| told.status == 204);
    told.filter_map(|told| serde_json::from_str(&told.body).ok()).collect()
}

fn failover(lab: &Lab) -> Result<()> {
    require("openssl", "openssl")?;
    let world = World::new(lab)?;
    let secret = write_secret(SECRET)?;
    // A name, which is looked up inside the sandbox; each node tells its own localhost.
    let webhook = format!(
        "[[webhook]]\nurl = \"http://localhost:{PORT}/narf\"\nsecret-file = \"{secret}\"\n\
         events = [\"take\", \"release\", \"peer-dead\", \"peer-alive\"]\n"
    );
    let text = format!("{}{webhook}", two_vips(Family::V4));
    let cluster = Cluster::start(&world, 2, &text)?;
    cluster.wait_at_home()?;
    let confined = cluster.daemon(0, |daemon| daemon.wait("confined"))?;
    lab.say(format!("Pinky gives up: {}", confined.message()));
    lab.say("nobody listens while Brain dies");
    let vip = Family::V4.vip(BRAIN);
    world.power_off(&world.brain)?;
    wait::until_true("Pinky has both", PATIENCE, || world.pinky.has(vip))?;
    cluster.wait(0, "webhook-failed")?;
    lab.say("a receiver that fails twice more");
    let receiver = Receiver::start(world.pinky.namespace(), PORT, &[500, 503])?;
    wait::until_true("the story has arrived", PATIENCE, || taken(&receiver).len() >= 3)?;
    let events = taken(&receiver);
    ensure!(events[0]["event"] == "take", "{}", events[0]);
    // On a busy machine the address may be here before nothing at all has answered for long enough.
    let after = |name: &str| events[1..].iter().find(|event| event["event"] == name);
    let (dead, took) = (after("peer-dead"), after("take"));
    let (dead, took) = (dead.context("no peer-dead")?, took.context("no take")?);
    ensure!(dead["peer"] == "brain" && dead["cluster"] == "lab", "{dead}");
    ensure!(took["vips"][0] == vip.to_string() && took["standing_in"] == true, "{took}");
    ensure!(took["why"].as_str().is_some_and(|why| why.contains("brain")), "{took}");
    ensure!(events[0]["standing_in"] == false, "{}", events[0]);
    for (event, sequence) in events.iter().zip(1..) {
        ensure!(event["sequence"] == sequence && event["node"] == "pinky", "{event}");
    }
    for told in receiver.told() {
        ensure!(is_signed_with(SECRET, &told)?, "not signed: {told:?}");
        ensure!(!is_signed_with(OTHER_SECRET, &told)?, "signed with anything");
    }
    cluster.wait(0, "webhook-works")?;
    lab.say("another secret in the same file");
    write_secret(OTHER_SECRET)?;
    cluster.ask(0, "reload")?;
    wait::until_true("Brain's kernel drops what nobody renews", PATIENCE, || {
        !world.brain.has(vip)
    })?;
    world.power_on(&world.brain)?;
    cluster.start_node(1)?;
    cluster.wait_held_by(vip, "brain")?;
    wait::until_true("the hand-back has arrived", PATIENCE, || {
        taken(&receiver).iter().any(|event| event["event"] == "release")
    })?;
    let last = receiver.told().pop().context("a last one")?;
    ensure!(is_signed_with(OTHER_SECRET, &last)?, "not with the new secret: {last:?}");
    let said = cluster.daemon(0, |daemon| Ok(daemon.text()))?;
    for secret in [SECRET, OTHER_SECRET, "narf"] {
        ensure!(!said.contains(secret), "the log shows {secret}");
    }
    lab.say("what happens at the end is told as well");
    let told = receiver.told().len();
    cluster.stop_all()?;
    ensure!(receiver.told().len() > told, "the last release was not told");
    Ok(())
}
