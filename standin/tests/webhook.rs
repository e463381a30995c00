//! Webhooks: what a receiver hears, in which order, how often, and what it never hears.

#[expect(dead_code, reason = "it has servers for checks, too")]
mod servers;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use standin::checks::url::Url;
use standin::file::{Webhook, WebhookEvent};
use standin::log::{Event, Level};
use standin::notify::{Notifier, Scene, Secret, Tally, WAITING_MOST, signature};
use standin_core::cluster::report::ClusterReport;
use standin_core::decide::Reason;
use standin_core::{Instant, Report};

const SECRET: &str = "not-a-secret-but-an-example";
/// Nothing takes longer, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a receiver says; once its list is used up, 204.
#[derive(Clone, Copy)]
enum Say {
    /// This, and nothing else.
    Status(&'static str),
    /// Nothing at all, for as long as the connection lives.
    Silence,
}

/// A request as a receiver saw it.
struct Heard {
    head: String,
    body: String,
}

impl Heard {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A receiver on loopback.
struct Server {
    port: u16,
    heard: Receiver<Heard>,
}

impl Server {
    fn saying(what: &[Say]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        Self::at(listener, what)
    }

    fn at(listener: TcpListener, what: &[Say]) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let (tell, heard) = channel();
        let mut what: VecDeque<Say> = what.iter().copied().collect();
        thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                match what.pop_front().unwrap_or(Say::Status("204 No Content")) {
                    Say::Status(status) => answer(&stream, status, &tell),
                    Say::Silence => held.push(stream),
                }
            }
        });
        Self { port, heard }
    }

    fn next(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).expect("a request")
    }
}

fn answer(stream: &TcpStream, status: &str, tell: &Sender<Heard>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if matches!(reader.read_line(&mut head), Ok(0) | Err(_)) {
            return;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|text| text.parse().ok()).unwrap_or_default()];
    reader.read_exact(&mut body).expect("a body");
    let mut writer = stream;
    let _ = write!(writer, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    let _ = tell.send(Heard { head, body: String::from_utf8(body).expect("UTF-8") });
}

fn webhook(port: u16) -> Webhook {
    let url = format!("http://u:narf@localhost:{port}/troz?poit");
    Webhook {
        name: "pager".to_owned(),
        url: Url::parse(&url).expect("a URL"),
        events: WebhookEvent::ALL.to_vec(),
        secret_file: None,
        ca_file: None,
        timeout: Duration::from_secs(5),
        retry_for: Duration::from_mins(10),
    }
}

fn ip(number: u32) -> IpAddr {
    std::net::Ipv4Addr::from_bits(0x0a0a_0000 + number).into()
}

fn scene() -> Scene {
    let place = |number| (ip(number), (format!("group {number}").into(), Some("brain".into())));
    Scene {
        cluster: "web".to_owned(),
        node: "pinky".to_owned(),
        places: (0..2000).map(place).collect(),
    }
}

fn dead(peer: &str) -> Report {
    Report::PeerDead { peer: peer.into(), silent: Duration::from_secs(1), probes: 24 }
}

fn claimed(number: u32) -> Report {
    Report::Claimed {
        vip: ip(number),
        home: "the cluster".into(),
        reason: Reason::PlacedHere,
        decided: Instant::default(),
        confirmed: Instant::default(),
    }
}

/// A notifier with what it said, inside a runtime of its own.
struct Run {
    runtime: tokio::runtime::Runtime,
    notifier: Notifier,
    said: Vec<Event>,
}

impl Run {
    fn with(webhook: &Webhook) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let mut run = Self {
            runtime: runtime.expect("a runtime"),
            notifier: Notifier::new(UNIX_EPOCH + Duration::from_millis(1_795_340_160_042)),
            said: Vec::new(),
        };
        run.follow(webhook);
        run
    }

    fn follow(&mut self, webhook: &Webhook) {
        let _entered = self.runtime.enter();
        self.said.extend(self.notifier.follow(std::slice::from_ref(webhook), scene()));
    }

    fn note(&mut self, report: &Report) {
        let level = match report.level() {
            standin_core::report::Level::Warn => Level::Warn,
            _ => Level::Info,
        };
        let mut event = Event::new(level, report.name(), report.to_string());
        for (name, value) in report.fields() {
            if let standin_core::report::Value::Text(text) = value {
                event = event.with(name, text);
            }
        }
        self.notifier.note(report, &event, SystemTime::now());
    }

    fn tally(&self) -> Tally {
        self.notifier.tallies()[0].1.tally()
    }

    /// Lets the couriers work until this holds of what became of the events.
    fn until(&mut self, what: &str, holds: impl Fn(&Tally) -> bool) {
        let end = std::time::Instant::now() + PATIENCE;
        while !holds(&self.tally()) {
            assert!(std::time::Instant::now() < end, "{what}: {:?} {:?}", self.tally(), self.said);
            let (runtime, notifier) = (&self.runtime, &mut self.notifier);
            let said = runtime.block_on(async {
                tokio::time::timeout(Duration::from_millis(5), notifier.said()).await
            });
            self.said.extend(said);
        }
    }

    fn finish(&mut self, within: Duration) {
        self.notifier.finish();
        let notifier = &mut self.notifier;
        let said = self
            .runtime
            .block_on(async { notifier.finished(tokio::time::Instant::now() + within).await });
        self.said.extend(said);
    }

    fn names(&self) -> Vec<&str> {
        self.said.iter().map(|event| event.name).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for event in &self.said {
            let shown = format!("{event:?}");
            for secret in ["narf", "troz", "poit", SECRET] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
}

fn secret_file(text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = servers::directory("webhook").join("secret");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    path
}

#[test]
fn every_event_arrives_once_signed_and_in_order_after_all_kinds_of_failure() {
    // Nobody listens at first.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let file = secret_file(&format!("{SECRET}\n"));
    let mut run = Run::with(&Webhook { secret_file: Some(file.clone()), ..webhook(port) });
    run.note(&dead("brain"));
    run.note(&claimed(1));
    run.note(&dead("snowball"));
    run.until("an attempt fails", |tally| tally.failed >= 1);
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the same port");
    let statuses = ["500 No", "503 No", "429 No", "408 No", "204 No Content"];
    let server = Server::at(listener, &statuses.map(Say::Status));
    run.until("all are delivered", |tally| tally.delivered == 3);
    assert_eq!(run.tally().waiting, 0);

    let tries: Vec<Heard> = (0..5).map(|_| server.next()).collect();
    assert!(tries.iter().all(|one| one.body == tries[0].body), "every attempt is the same");
    let heard = [&tries[4], &server.next(), &server.next()].map(|heard| {
        let secret = Secret::read(&file).expect("a secret");
        let signed = heard.header("standin-signature").expect("a signature");
        let seconds = signed.strip_prefix("t=").and_then(|rest| rest.split_once(','));
        let seconds = seconds.and_then(|(seconds, _)| seconds.parse().ok()).expect("a time");
        let at = UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(signed, signature(&secret, at, heard.body.as_bytes()));
        assert!(at.elapsed().expect("the past") < PATIENCE, "{signed}");
        assert!(heard.head.starts_with("POST /troz?poit HTTP/1.1\r\n"), "{}", heard.head);
        assert_eq!(heard.header("authorization"), Some("Basic dTpuYXJm"));
        let json = heard.json();
        assert_eq!(heard.header("idempotency-key"), json["id"].as_str());
        json
    });
    let events = heard.each_ref().map(|json| json["event"].as_str().expect("a name"));
    assert_eq!(events, ["peer-dead", "take", "peer-dead"]);
    for (json, sequence) in heard.iter().zip(1_u64..) {
        assert_eq!(json["sequence"], sequence);
        assert_eq!(json["incarnation"], 1_795_340_160_042_u64);
        assert_eq!((&json["cluster"], &json["node"]), (&"web".into(), &"pinky".into()));
        assert_eq!(json["id"], format!("pinky-1795340160042-{sequence}"));
    }
    assert_eq!(heard[0]["peer"], "brain");
    assert_eq!(
        (&heard[1]["vips"][0], &heard[1]["groups"][0]),
        (&"10.10.0.1".into(), &"group 1".into())
    );
    assert_eq!(heard[1]["standing_in"], true);
    assert_eq!(run.names(), ["webhook-failed", "webhook-works"]);
}

#[test]
fn what_is_refused_is_not_tried_again_and_said_once() {
    let refusals = ["404 Not Found", "404 Not Found", "302 Found\r\nLocation: /elsewhere"];
    let server = Server::saying(&refusals.map(Say::Status));
    let mut run = Run::with(&webhook(server.port));
    for number in 0..4 {
        run.note(&dead(&format!("node{number}")));
    }
    run.until("the last is delivered", |tally| tally.delivered == 1);
    let tally = run.tally();
    assert_eq!((tally.refused, tally.failed, tally.succeeded), (3, 3, 1));
    for number in 0..4 {
        assert_eq!(server.next().json()["peer"], format!("node{number}"));
    }
    assert_eq!(run.names(), ["webhook-refused", "webhook-refused", "webhook-works"]);
    assert!(run.said[1].message.contains("a redirect is not followed"), "{:?}", run.said);
}

#[test]
fn a_receiver_that_hangs_costs_the_oldest_events_and_they_are_counted() {
    let server = Server::saying(&[Say::Silence]);
    let slow = Webhook { timeout: Duration::from_millis(300), ..webhook(server.port) };
    let mut run = Run::with(&slow);
    run.note(&dead("first"));
    run.until("it has been tried", |tally| tally.failed == 1);
    let extra = 10;
    for number in 0..WAITING_MOST + extra {
        run.note(&dead(&format!("node{number}")));
    }
    run.until("all that is left is delivered", |tally| tally.waiting == 0);
    let tally = run.tally();
    // The first is the oldest.
    assert_eq!((tally.dropped, tally.delivered), (extra as u64 + 1, WAITING_MOST as u64));
    let mut last = extra as u64 + 1;
    for _ in 0..WAITING_MOST {
        let sequence = server.next().json()["sequence"].as_u64().expect("a number");
        assert_eq!(sequence, last + 1, "in order, and the gap tells what is missing");
        last = sequence;
    }
    assert_eq!(run.names().iter().filter(|name| **name == "webhook-dropped").count(), 1);
}

#[test]
fn many_addresses_of_one_cause_are_one_event() {
    let server = Server::saying(&[]);
    let mut run = Run::with(&webhook(server.port));
    for number in 0..1000 {
        run.note(&claimed(number));
    }
    run.note(&claimed(7));
    run.until("it is delivered", |tally| tally.delivered >= 1 && tally.waiting == 0);
    let json = server.next().json();
    let text = json["text"].as_str().expect("a text").to_owned();
    if json["vip_count"] == 1000 {
        assert!(text.starts_with("pinky stands in with 10.10.0.0 and 999 more: "), "{text}");
    }
    assert_eq!(json["vips"].as_array().map(Vec::len), Some(256));
    assert_eq!(json["groups"].as_array().map(Vec::len), Some(256));
    assert!(run.tally().delivered < 10, "{:?}", run.tally());
}

#[test]
fn what_is_too_old_is_given_up() {
    let server = Server::saying(&[Say::Status("500 No"); 3]);
    let mut run = Run::with(&Webhook { retry_for: Duration::ZERO, ..webhook(server.port) });
    for number in 0..4 {
        run.note(&dead(&format!("node{number}")));
    }
    run.until("the last is delivered", |tally| tally.delivered == 1);
    assert_eq!((run.tally().expired, run.tally().failed), (3, 3));
    assert_eq!(run.names(), ["webhook-expired", "webhook-works"]);
}

#[test]
fn the_end_of_a_run_waits_for_what_can_be_told_and_for_nothing_else() {
    let server = Server::saying(&[]);
    let mut run = Run::with(&webhook(server.port));
    run.note(&dead("brain"));
    run.note(&claimed(1));
    run.finish(PATIENCE);
    assert_eq!((run.tally().delivered, run.names().len()), (2, 0));

    let server = Server::saying(&[Say::Silence]);
    let mut run = Run::with(&webhook(server.port));
    run.note(&dead("brain"));
    run.note(&claimed(1));
    run.finish(Duration::from_millis(50));
    assert_eq!((run.tally().delivered, run.tally().dropped), (0, 2));
    assert_eq!(run.names(), ["webhook-unsent"]);
    assert!(run.said[0].message.contains("2 events not sent"), "{:?}", run.said);
}

#[test]
fn a_changed_webhook_takes_over_what_waits() {
    let deaf = Server::saying(&[Say::Silence; 9]);
    let mut run = Run::with(&webhook(deaf.port));
    run.note(&dead("brain"));
    run.note(&claimed(1));
    run.until("the gathering is over", |_| deaf_has_a_visitor(deaf.port));
    let server = Server::saying(&[]);
    run.follow(&webhook(server.port));
    run.until("both are delivered", |tally| tally.delivered == 2);
    assert_eq!(server.next().json()["sequence"], 1);
    let unusable = Webhook { secret_file: Some("/nonexistent/secret".into()), ..webhook(1) };
    run.follow(&unusable);
    run.note(&dead("snowball"));
    run.until("the one before stays", |tally| tally.delivered == 3);
    assert_eq!(run.names(), ["webhook-unusable"]);
}

/// Whether somebody is connected to a port of this host.
fn deaf_has_a_visitor(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let local = format!(":{port:04X} ");
    // State 01 is an established connection.
    table.lines().any(|line| line.contains(&local) && line.contains(" 01 "))
}

#[test]
fn only_what_is_asked_for_and_only_news_is_told() {
    let server = Server::saying(&[]);
    let events = vec![
        WebhookEvent::Take,
        WebhookEvent::PeerAlive,
        WebhookEvent::DaemonBack,
        WebhookEvent::CheckPassing,
    ];
    let mut run = Run::with(&Webhook { events, ..webhook(server.port) });
    let (check, vip): (Arc<str>, IpAddr) = ("web".into(), ip(1));
    let passing = Report::CheckPassing { check: check.clone(), vip };
    let joined =
        Report::Cluster(ClusterReport::MemberJoined { node: "brain".into(), restarted: false });
    let alive = |dead_for| Report::PeerAlive { peer: "brain".into(), dead_for };
    let placed = Report::Cluster(ClusterReport::Placed {
        group: "group 1".into(),
        holder: Some("pinky".into()),
        sentence: "brain is dead".to_owned(),
        why: "holder-dead",
        silent: None,
    });
    for report in [
        // What every start brings.
        &passing,
        &joined,
        &alive(None),
        &dead("brain"),
        &Report::Cluster(ClusterReport::DaemonGone { node: "brain".into(), refused: false }),
        &Report::CheckFailing { check, vip, why: "HTTP 500".to_owned() },
        &placed,
        &claimed(1),
        // Again, as after a changed configuration.
        &claimed(1),
        &joined,
        &alive(Some(Duration::from_secs(5))),
        &passing,
    ] {
        run.note(report);
    }
    run.until("all are delivered", |tally| tally.delivered == 4);
    let heard: Vec<Value> = (0..4).map(|_| server.next().json()).collect();
    let names: Vec<&str> = heard.iter().filter_map(|json| json["event"].as_str()).collect();
    assert_eq!(names, ["take", "daemon-back", "peer-alive", "check-passing"]);
    assert_eq!(heard[0]["why"], "brain is dead");
    assert_eq!(heard[0]["text"], "pinky stands in with 10.10.0.1: brain is dead");
    assert_eq!(run.tally().waiting, 0);
}

#[test]
fn tls_is_verified_and_its_failure_is_tried_again() {
    let tls = servers::Tls::for_names(&["localhost"]);
    let reply = servers::page("200 OK", "");
    let server = servers::Http::serving_tls(reply, &tls);
    let url = Url::parse(&format!("https://localhost:{}/troz", server.port)).expect("a URL");
    let stranger = servers::Tls::for_names(&["localhost"]);
    let wrong = Webhook { url, ca_file: Some(stranger.ca_file.clone()), ..webhook(1) };
    let mut run = Run::with(&wrong);
    run.note(&dead("brain"));
    run.until("it fails", |tally| tally.failed >= 1);
    run.follow(&Webhook { ca_file: Some(tls.ca_file.clone()), ..wrong });
    run.until("it is delivered", |tally| tally.delivered == 1);
    assert_eq!(run.names().first(), Some(&"webhook-failed"));
    assert!(run.said[0].message.contains("unknown issuer"), "{:?}", run.said);
}

#[test]
fn a_secret_that_is_none_is_refused_and_never_shown() {
    let shown = |text: &str| {
        let secret_file = Some(secret_file(text));
        let webhook = Webhook { secret_file, ..webhook(1) };
        standin::notify::judge(&[webhook]).expect_err(text).to_string()
    };
    for text in ["narf\n", "\ntoo-late-for-a-secret\n", "narf narf narf narf\n"] {
        let said = shown(text);
        assert!(said.contains("webhook pager: secret-file"), "{said}");
        assert!(said.contains("its first line is no secret"), "{said}");
        assert!(!said.contains("narf"), "{said}");
    }
}
