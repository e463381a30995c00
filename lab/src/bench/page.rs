//! `bench page`: what the page weighs, when it is first painted, and what scrapes cost.
//!
//! Owns what each figure means. Each measurement runs in a sandbox of its own; the cluster is two
//! nodes, and everything is asked over Pinky's own loopback.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::options::{Options, Words};
use super::report::{Figures, Machine, median};
use super::{RESULT, once, publish};
use crate::browser::Browser;
use crate::cases::cluster::{Cluster, two_vips};
use crate::cases::page::{URL, get};
use crate::story::Lab;
use crate::wait;
use crate::world::{Family, Host, World};

/// The first word of its measurements.
pub const NAME: &str = "page";

/// What is measured.
const PARTS: [&str; 3] = ["paint", "flood", "scrape"];
const DOOR: &str = "127.0.0.1:4962";
/// How long scrapes are made as fast as they are answered, and by how many at a time.
const FLOOD: Duration = Duration::from_secs(5);
const CLIENTS: usize = 16;
/// Loads of the page, each with an empty cache.
const LOADS: usize = 9;
/// Two nodes on one busy host share a thousand VIPs within this.
const HELD_WITHIN: Duration = Duration::from_mins(2);
/// Scrapes of a thousand VIPs, each later than the answer before is kept.
const SCRAPES: usize = 30;
const APART: Duration = Duration::from_millis(120);
const LONGEST: Duration = Duration::from_mins(3);

/// Runs all of them and prints the figures.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let known = Words { benchmark: NAME, runs: (1, 1), lasting: None, parts: PARTS.to_vec() };
    let mut options = Options::parse(words, &known)?;
    // It has no chart.
    options.svg = None;
    let mut figures = Figures::default();
    for _ in 0..options.runs {
        for what in PARTS.into_iter().filter(|what| options.wants(what)) {
            let arguments = [NAME.to_owned(), what.to_owned()];
            once(&mut figures, (what, NAME), &arguments, LONGEST, options.keep_user)?;
        }
    }
    let machine = Machine::read();
    let mut text = format!("\n{}\n\n", machine.line());
    for (what, name, told) in [
        ("paint", "page_bytes", "page, bytes"),
        ("paint", "files_bytes", "style, script and icon, bytes"),
        ("paint", "first_paint_ms", "first paint, ms (median)"),
        ("flood", "scrapes_per_second", "scrapes of /metrics a second"),
        ("flood", "heartbeats_missed", "heartbeats missed meanwhile"),
        ("scrape", "milliseconds", "scrape of 1000 VIPs, ms (median)"),
        ("scrape", "most_milliseconds", "the slowest of them, ms"),
        ("scrape", "bytes", "and its bytes"),
    ] {
        if let Some(number) = figures.median(what, NAME, name) {
            let _ = writeln!(text, "  {told:<36} {number:>12.1}");
        }
    }
    for failed in &figures.failed {
        let _ = writeln!(text, "failed: {failed}");
    }
    let json = super::report::json(&figures, &machine, &[]);
    publish(&options, NAME, &text, &json, "")?;
    Ok(if figures.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One of them, inside its sandbox.
pub fn measure(lab: &Lab, words: &[String]) -> Result<()> {
    let world = World::new(lab)?;
    let result = match words.first().map(String::as_str) {
        Some("paint") => paint(&world)?,
        Some("flood") => flood(&world)?,
        Some("scrape") => scrape(&world)?,
        other => bail!("there is no measurement {other:?}"),
    };
    println!("{RESULT}{result}");
    Ok(())
}

fn serving<'w, 'l>(world: &'w World<'l>) -> Result<Cluster<'w, 'l>> {
    let cluster = Cluster::start(world, 2, &format!("{}[http]\n", two_vips(Family::V4)))?;
    cluster.wait_at_home()?;
    Ok(cluster)
}

fn paint(world: &World<'_>) -> Result<Value> {
    let cluster = serving(world)?;
    let size = |path: &str| get(&world.pinky, DOOR, path).map(|body| body.len());
    let page = size("/")?;
    let files = size("/page.css")? + size("/page.js")? + size("/icon.svg")?;
    let mut browser = Browser::start(world.lab, &world.pinky)?;
    browser.look("light", (1000, 900))?;
    browser.order("Network.enable", &json!({}))?;
    let mut paints = Vec::new();
    for _ in 0..LOADS {
        browser.order("Network.clearBrowserCache", &json!({}))?;
        browser.open("about:blank")?;
        browser.open(URL)?;
        let painted = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0";
        browser.wait("it is painted", &format!("({painted}) > 0"))?;
        paints.push(browser.value(painted)?.as_f64().context("a time")?);
    }
    drop(browser);
    cluster.stop_all()?;
    let first_paint = median(&paints);
    Ok(json!({ "page_bytes": page, "files_bytes": files, "first_paint_ms": first_paint }))
}

/// The sum of a metric's samples.
fn sum(host: &Host, name: &str) -> Result<f64> {
    let text = get(host, DOOR, "/metrics")?;
    let samples = text.lines().filter(|line| line.starts_with(name));
    Ok(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

fn flood(world: &World<'_>) -> Result<Value> {
    let cluster = serving(world)?;
    let missed = || -> Result<f64> {
        let mut missed = 0.0;
        for (node, host) in [(0, &world.pinky), (1, &world.brain)] {
            missed += sum(host, "standin_heartbeats_lost_total")?;
            let suspected = cluster.daemon(node, |daemon| Ok(daemon.count("peer-suspected")))?;
            missed += f64::from(u32::try_from(suspected)?);
        }
        Ok(missed)
    };
    let before = missed()?;
    let streams: Result<Vec<TcpStream>> = (0..CLIENTS)
        .map(|_| world.pinky.namespace().run(|| TcpStream::connect(DOOR))?.context("connect"))
        .collect();
    let begun = Instant::now();
    let clients: Vec<_> = streams?
        .into_iter()
        .map(|stream| std::thread::spawn(move || scrape_for(stream, begun + FLOOD)))
        .collect();
    let mut scrapes = 0_u32;
    for client in clients {
        scrapes += client.join().ok().context("a client")??;
    }
    let rate = f64::from(scrapes) / begun.elapsed().as_secs_f64();
    let lost = missed()? - before;
    cluster.stop_all()?;
    Ok(json!({ "scrapes_per_second": rate.round(), "heartbeats_missed": lost }))
}

/// Scrapes over one connection, one after the other.
fn scrape_for(stream: TcpStream, until: Instant) -> Result<u32> {
    let mut stream = BufReader::new(stream);
    let mut scrapes = 0;
    while Instant::now() < until {
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.get_mut().write_all(request).context("ask")?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(stream.read_line(&mut line).context("hear")? > 0, "the connection has ended");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().context("a length")?;
            }
            if line == "\r\n" {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).context("hear")?;
        scrapes += 1;
    }
    Ok(scrapes)
}

fn scrape(world: &World<'_>) -> Result<Value> {
    let link = world.pinky.nic().name;
    let vips = format!(
        "[[vip]]\naddress = \"10.20.0.0-10.20.3.231\"\nspread = true\ninterface = \"{link}\"\n[http]\n"
    );
    let cluster = Cluster::start(world, 2, &vips)?;
    wait::until_true("a thousand VIPs are held", HELD_WITHIN, || {
        sum(&world.pinky, "standin_vip_holder{").is_ok_and(|held| held > 999.5)
    })?;
    let (mut times, mut bytes) = (Vec::new(), 0);
    for _ in 0..SCRAPES {
        std::thread::sleep(APART);
        let begun = Instant::now();
        bytes = get(&world.pinky, DOOR, "/metrics")?.len();
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    cluster.stop_all()?;
    let most = times.iter().copied().reduce(f64::max);
    Ok(json!({ "milliseconds": median(&times), "most_milliseconds": most, "bytes": bytes }))
}
