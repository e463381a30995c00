//! The page in a real browser and the metrics in a real Prometheus, while something happens.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::cluster::{Cluster, two_vips};
use super::{Case, alone};
use crate::browser::{BROWSER_PATIENCE, Browser};
use crate::sandbox::require;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, Host, World};

pub const CASES: &[Case] = &[
    alone("page_failover", "the page in a browser shows a failover, not loaded again", failover),
    alone("metrics_scraped", "Prometheus scrapes a failover, with the alerts' rules", scraped),
];

/// Where the page is, on every host's own loopback.
pub const URL: &str = "http://127.0.0.1:4962/";
/// Names a directory for pictures of the page.
const PICTURES: &str = "STANDIN_LAB_PICTURES";
/// Prometheus' own door.
const PROMETHEUS: &str = "127.0.0.1:9090";

/// The text of the row of an address, or of a node.
fn row(section: &str, name: &str) -> String {
    format!(
        "[...document.querySelectorAll('#{section} tbody tr')]\
         .find(row => row.querySelector('th').textContent.includes('{name}'))?.textContent ?? ''"
    )
}

fn failover(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &format!("{}[http]\n", two_vips(Family::V4)))?;
    cluster.wait_at_home()?;
    let vip = Family::V4.vip(BRAIN).to_string();
    let mut browser = Browser::start(lab, &world.pinky)?;
    browser.look("light", (1000, 900))?;
    browser.open(URL)?;
    browser.wait("it is live", "document.getElementById('live').className === 'on'")?;
    let holder = row("vips", &vip);
    browser.wait("Brain has its VIP", &format!("({holder}).includes('brain is home')"))?;
    let verdict = "document.getElementById('summary').className";
    browser.wait("all is well", &format!("{verdict} === 'good'"))?;
    picture(&mut browser, "page-before")?;
    // Would be gone if the page were loaded again.
    browser.value("window.stays = true")?;
    world.power_off(&world.brain)?;
    browser.wait("the page shows the new holder", &format!("({holder}).includes('pinky')"))?;
    browser.wait("and why", &format!("({holder}).includes('pinky is next in its order')"))?;
    let state = row("nodes", "brain");
    browser.wait("and that Brain is dead", &format!("({state}).includes('dead')"))?;
    browser.wait("the verdict warns", &format!("{verdict} === 'warn'"))?;
    browser
        .wait("a screen reader is told", "document.getElementById('news').textContent !== ''")?;
    ensure!(browser.value("window.stays")? == true, "the page was loaded again");
    for (scheme, name, screen) in [
        ("light", "page-light", (1000, 900)),
        ("dark", "page-dark", (1000, 900)),
        ("dark", "page-phone", (390, 844)),
    ] {
        browser.look(scheme, screen)?;
        let wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        ensure!(browser.value(wide)? == true, "{name} is wider than its screen");
        picture(&mut browser, name)?;
    }
    accessible(&mut browser)?;
    without_script(&mut browser, &vip)?;
    drop(browser);
    let dropped = Family::V4.vip(BRAIN);
    wait::until_true("Brain's kernel drops what nobody renews", PATIENCE, || {
        !world.brain.has(dropped)
    })?;
    cluster.stop_all()
}

/// What a screen reader finds: landmarks, headings, tables with headers for their cells.
fn accessible(browser: &mut Browser) -> Result<()> {
    let tree = browser.order("Accessibility.getFullAXTree", &json!({}))?;
    let nodes = tree["nodes"].as_array().context("a tree")?;
    let count = |role: &str| {
        let has = |node: &&Value| node["ignored"] != true && node["role"]["value"] == role;
        nodes.iter().filter(has).count()
    };
    for (role, least) in [
        ("main", 1),
        ("banner", 1),
        ("contentinfo", 1),
        ("region", 4),
        ("heading", 5),
        ("table", 3),
        ("columnheader", 11),
        ("rowheader", 5),
        ("status", 1),
        ("link", 2),
    ] {
        ensure!(count(role) >= least, "{} of role {role}, wanted {least}", count(role));
    }
    Ok(())
}

/// The same as plain tables.
fn without_script(browser: &mut Browser, vip: &str) -> Result<()> {
    browser.order("Emulation.setScriptExecutionDisabled", &json!({ "value": true }))?;
    browser.order("Page.navigate", &json!({ "url": URL }))?;
    wait::until_true("the page is there without a script", BROWSER_PATIENCE, || {
        let document = browser.order("DOM.getDocument", &json!({ "depth": 0 }));
        let root = document.map(|document| document["root"]["nodeId"].clone());
        let text = root
            .and_then(|root| browser.order("DOM.getOuterHTML", &json!({ "nodeId": root })))
            .map(|html| html["outerHTML"].as_str().unwrap_or_default().to_owned());
        text.is_ok_and(|text| {
            text.contains(vip) && text.contains("</table>") && text.contains(" UTC</time>")
        })
    })
}

fn picture(browser: &mut Browser, name: &str) -> Result<()> {
    let Some(directory) = std::env::var_os(PICTURES) else { return Ok(()) };
    browser.picture(&Path::new(&directory).join(format!("{name}.webp")))
}

/// One request over a host's loopback; the body of the answer.
pub fn get(host: &Host, at: &str, path: &str) -> Result<String> {
    let mut stream = host.namespace().run(|| TcpStream::connect(at))?.context("connect")?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Accept: application/openmetrics-text; version=1.0.0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).context("ask")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("hear")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("a head")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    Ok(body.to_owned())
}

/// The first value of a query; none without one.
fn query(host: &Host, expression: &str) -> Option<f64> {
    let encoded = expression.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
    let body = get(host, PROMETHEUS, &format!("/api/v1/query?query={encoded}")).ok()?;
    // Prometheus may send its answer in pieces, of which a short one is a line of its own.
    let json = body.lines().find(|line| line.starts_with('{'))?;
    let answer: Value = serde_json::from_str(json).ok()?;
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

fn scraped(lab: &Lab) -> Result<()> {
    require("prometheus", "prometheus")?;
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &format!("{}[http]\n", two_vips(Family::V4)))?;
    cluster.wait_at_home()?;
    let directory = Lab::directory().display();
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/prometheus/alerts.yml");
    let config = format!(
        "global:\n  scrape_interval: 200ms\n  evaluation_interval: 200ms\nrule_files:\n  - {rules}\n\
         scrape_configs:\n  - job_name: standin\n    static_configs:\n      - targets: ['127.0.0.1:4962']\n"
    );
    let file = format!("{directory}/prometheus.yml");
    fs::write(&file, config).context("write Prometheus' file")?;
    let mut command = world.pinky.command("prometheus");
    command.args([
        &format!("--config.file={file}"),
        &format!("--storage.tsdb.path={directory}/prometheus"),
        &format!("--web.listen-address={PROMETHEUS}"),
    ]);
    let prometheus = world.pinky.start(lab, "prometheus", &mut command)?;
    let vip = Family::V4.vip(BRAIN);
    let wait = |what: &str, expression: &str, wanted: &dyn Fn(f64) -> bool| {
        wait::until(what, BROWSER_PATIENCE, || {
            query(&world.pinky, expression).filter(|value| wanted(*value))
        })
    };
    wait("the scrape succeeds", "up{job=\"standin\"}", &|up| up > 0.5)?;
    let at = |node: &str| format!("standin_vip_holder{{vip=\"{vip}\",node=\"{node}\"}}");
    wait("Brain has its VIP", &at("brain"), &|held| held > 0.5)?;
    wait("heartbeats come", "rate(standin_heartbeats_received_total[2s])", &|rate| rate > 5.0)?;
    let rules = get(&world.pinky, PROMETHEUS, "/api/v1/rules")?;
    ensure!(rules.contains("StandinVipUnheld"), "the rules are not loaded: {rules}");
    world.power_off(&world.brain)?;
    wait("Pinky has it", &at("pinky"), &|held| held > 0.5)?;
    let why = "standin_transitions_total{change=\"taken\",reason=\"holder-dead\"}";
    wait("it is counted with its reason", why, &|count| (count - 1.0).abs() < 0.1)?;
    let took = wait(
        "the time of the takeover is counted",
        "standin_takeover_seconds_sum / standin_takeover_seconds_count",
        &|seconds| seconds > 0.0,
    )?;
    lab.say(format!("from Brain's last sign of life to the announcement: {took:.3} s"));
    ensure!((0.15..1.0).contains(&took), "{took} s");
    wait("Brain is down", "standin_node_up{node=\"brain\"}", &|up| up < 0.5)?;
    wait("the scrape goes on", "up{job=\"standin\"}", &|up| up > 0.5)?;
    prometheus.process().kill()?;
    wait::until_true("Brain's kernel drops what nobody renews", PATIENCE, || {
        !world.brain.has(vip)
    })?;
    cluster.stop_all()
}
