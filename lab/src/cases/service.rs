//! The host lives and its service does not, or the other way round.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Case, beside, brain_has_its_vip, stand_in};
use crate::sandbox;
use crate::server::Page;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, World};

const QUICK: &str = "--check-interval 100ms --rise 2 --fall 3 --back-after 300ms";

pub const CASES: &[Case] = &[
    beside(
        "service_down_host_up",
        "a broken page: taken over, said to be a duplicate, handed back",
        |lab| service_down(lab, Family::V4),
    ),
    beside("service_down_host_up_ipv6", "the same with IPv6", |lab| service_down(lab, Family::V6)),
    beside("service_down_nginx", "nginx stops, the host lives", service_down_nginx),
    beside(
        "check_hangs",
        "a page that never comes is a failure, at the check's timeout",
        check_hangs,
    ),
    beside(
        "check_tcp_and_command",
        "TCP and command checks, each the reason once",
        tcp_and_command,
    ),
    beside("check_icmp", "an address that nobody answers echo requests at", |lab| {
        unanswered_echo(lab, Family::V4)
    }),
    beside("check_icmp_ipv6", "the same with IPv6", |lab| unanswered_echo(lab, Family::V6)),
    beside(
        "check_failure_warn",
        "--on-check-failure warn: said, and nothing taken",
        check_failure_warn,
    ),
    beside("check_never_passed", "a check that never passed is doubted longer", check_never_passed),
    beside(
        "check_and_host_die",
        "host and check fail: told apart, one takeover",
        check_and_host_die,
    ),
];

fn page(family: Family) -> String {
    match family {
        Family::V4 => format!("http://{}/", family.vip(BRAIN)),
        Family::V6 => format!("http://[{}]/", family.vip(BRAIN)),
    }
}

fn service_down(lab: &Lab, family: Family) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, family)?;
    let web = world.brain.serve_page()?;
    let check = format!("--check {} --expect-text '</html>' {QUICK}", page(family));
    let standin = stand_in(&world, family, &check)?;
    standin.wait("check-passing")?;
    let client = world.ask(vip, 200)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    lab.say("Brain's page ends in the middle");
    web.show(Page::Broken);
    let failing = standin.wait("check-failing")?;
    ensure!(failing.text("why").contains("</html>"), "the reason is {:?}", failing.text("why"));
    let claimed = standin.wait("claimed")?;
    ensure!(claimed.text("reason") == "service-down", "claimed for {:?}", claimed.text("reason"));
    let duplicate = standin.wait("duplicate")?;
    ensure!(duplicate.text("theirs") == world.brain.mac().to_string(), "{duplicate:?}");
    client.wait_answered_by("pinky", client.mark(), PATIENCE)?;
    ensure!(standin.count("peer-dead") == 0, "a failed check was taken for a dead host");
    lab.say("Brain's page is whole again");
    web.show(Page::Whole);
    standin.wait("released")?;
    world.wait_router_sends(vip, &world.brain)?;
    client.wait_answered_by("brain", client.mark(), PATIENCE)?;
    ensure!(!world.pinky.has(vip), "still there after the release");
    standin.stop()
}

fn service_down_nginx(lab: &Lab) -> Result<()> {
    sandbox::require("nginx", "nginx-light")?;
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let directory = Lab::directory();
    fs::write(directory.join("index.html"), "<html>Brain's page</html>\n").context("the page")?;
    let at = directory.display();
    let text = format!(
        "daemon off; pid {at}/nginx.pid; error_log stderr; user root;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p;\n\
         fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
         server {{ listen 80; root {at}; }} }}\n"
    );
    let settings = directory.join("nginx.conf");
    fs::write(&settings, text).context("nginx's settings")?;
    let start = || {
        let mut command = world.brain.command("nginx");
        command.arg("-p").arg(directory).arg("-c").arg(&settings).args(["-e", "stderr"]);
        world.brain.start(lab, "nginx", &mut command)
    };
    let nginx = start()?;
    let check = format!("--check {} --expect-text '</html>' {QUICK}", page(Family::V4));
    let standin = stand_in(&world, Family::V4, &check)?;
    standin.wait("check-passing")?;
    nginx.stop()?;
    standin.wait("check-failing")?;
    standin.wait("claimed")?;
    world.wait_router_sends(vip, &world.pinky)?;
    let nginx = start()?;
    standin.wait("released")?;
    world.wait_router_sends(vip, &world.brain)?;
    nginx.stop()?;
    standin.stop()
}

fn check_hangs(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    brain_has_its_vip(&world, Family::V4)?;
    let web = world.brain.serve_page()?;
    let check = format!("--check {} {QUICK} --check-timeout 100ms", page(Family::V4));
    let standin = stand_in(&world, Family::V4, &check)?;
    standin.wait("check-passing")?;
    web.show(Page::Silence);
    let failing = standin.wait("check-failing")?;
    ensure!(failing.text("why").contains("100"), "the reason is {:?}", failing.text("why"));
    standin.wait("claimed")?;
    standin.stop()
}

fn tcp_and_command(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let flag = Lab::directory().join("well");
    fs::write(&flag, "").context("the flag")?;
    let web = world.brain.serve_page()?;
    let checks =
        format!("{QUICK} --check tcp:{vip}:80 --check command:'test -e {}'", flag.display());
    let checks = checks.replace("command:'", "'command:");
    let standin = stand_in(&world, Family::V4, &checks)?;
    standin.wait("check-passing")?;
    wait::until_true("both checks pass", PATIENCE, || standin.count("check-passing") == 2)?;
    lab.say("the command fails");
    fs::remove_file(&flag).context("the flag")?;
    let failing = standin.wait("check-failing")?;
    ensure!(failing.text("check").starts_with("command:"), "{failing:?}");
    standin.wait("claimed")?;
    fs::write(&flag, "").context("the flag")?;
    standin.wait("released")?;
    world.wait_router_sends(vip, &world.brain)?;
    lab.say("the port is closed");
    let mark = standin.mark();
    drop(web);
    let failing = standin.wait_after(mark, "check-failing", PATIENCE)?;
    ensure!(failing.text("check").starts_with("tcp:"), "{failing:?}");
    standin.wait_after(mark, "claimed", PATIENCE)?;
    standin.stop()
}

fn unanswered_echo(lab: &Lab, family: Family) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, family)?;
    let standin = stand_in(&world, family, &format!("--check icmp {QUICK} --check-timeout 100ms"))?;
    standin.wait("check-passing")?;
    lab.say("Brain lives, and has lost its VIP");
    world.brain.remove_address(vip)?;
    let failing = standin.wait("check-failing")?;
    ensure!(failing.text("check").starts_with("icmp:"), "{failing:?}");
    let claimed = standin.wait("claimed")?;
    ensure!(claimed.text("reason") == "service-down", "claimed for {:?}", claimed.text("reason"));
    ensure!(standin.count("peer-dead") == 0, "an unanswered echo was taken for a dead host");
    world.wait_router_sends(vip, &world.pinky)?;
    standin.stop()
}

fn check_failure_warn(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let web = world.brain.serve_page()?;
    let check =
        format!("--check {} {QUICK} --on-check-failure warn --dead-after 300ms", page(Family::V4));
    let standin = stand_in(&world, Family::V4, &check)?;
    standin.wait("check-passing")?;
    web.show(Page::Error);
    let failing = standin.wait("check-failing")?;
    ensure!(failing.text("why").contains("500"), "the reason is {:?}", failing.text("why"));
    wait::throughout("nothing is taken", Duration::from_secs(2), || !world.pinky.has(vip))?;
    lab.say("a dead host is still stood in for");
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    standin.stop()
}

fn check_never_passed(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, &format!("--check {} {QUICK}", page(Family::V4)))?;
    let doubted = standin.wait("check-never-passed")?;
    ensure!(standin.count("claimed") == 0, "claimed at once");
    let failing = standin.wait("check-failing")?;
    ensure!(failing.at_ns > doubted.at_ns, "doubted after it was believed");
    standin.wait("claimed")?;
    standin.stop()
}

fn check_and_host_die(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let _web = world.brain.serve_page()?;
    let check = format!("--check {} {QUICK} --dead-after 600ms", page(Family::V4));
    let standin = stand_in(&world, Family::V4, &check)?;
    standin.wait("check-passing")?;
    world.power_off(&world.brain)?;
    let claimed = standin.wait("claimed")?;
    ensure!(claimed.text("reason") == "home-dead", "claimed for {:?}", claimed.text("reason"));
    standin.wait("peer-dead")?;
    ensure!(standin.count("duplicate") == 0, "a dead host was called a duplicate");
    world.power_on(&world.brain)?;
    standin.wait("released")?;
    world.wait_router_sends(vip, &world.brain)?;
    ensure!(standin.count("claimed") == 1, "{} takeovers", standin.count("claimed"));
    standin.stop()
}
