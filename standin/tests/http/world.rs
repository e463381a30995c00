//! A cluster as pinky sees it, a server that shows it, and a client that speaks bare HTTP.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use standin::file::Http;
use standin::http::{Door, Front, Ledger, Look, SharedLedger, Site};
use standin::link::Pulse;
use standin::slow::{Seen, SeenCluster};
use standin_core::config::{Vantage, VipId};
use standin_core::decide::Reason;
use standin_core::histogram::Histogram;
use standin_core::io::CheckTarget;
use standin_core::node::{
    ClusterStatus, GroupStatus, LeaseStatus, NodeStatus, PathTraffic, Traffic,
};
use standin_core::place::Life;
use standin_core::status::{Check, CheckState, Life as HostLife, Peer, Status, Vip};
use standin_core::vip::Place;

/// The address of a VIP.
pub fn vip(number: usize) -> IpAddr {
    Ipv4Addr::from_bits(0x0a0a_0000 + u32::try_from(number).expect("few VIPs")).into()
}

fn histogram(millis: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    for millis in millis {
        histogram.record(Duration::from_millis(*millis));
    }
    histogram
}

fn node(name: &str, is_this: bool) -> NodeStatus {
    let path = || PathTraffic { received: 40, lost: 2, gaps: histogram(&[250, 250, 500]) };
    let traffic = Traffic {
        sent: 42,
        round_trips: histogram(&[1, 1]),
        paths: if is_this { Vec::new() } else { vec![path(), path()] },
    };
    NodeStatus {
        name: name.into(),
        is_this,
        witness: false,
        life: Life::Participating,
        ready: true,
        draining: false,
        leaving: false,
        keeping: false,
        trouble: None,
        heard_ago: (!is_this).then_some(Duration::from_millis(20)),
        round_trip: Some(Duration::from_micros(300)),
        paths: if is_this { Vec::new() } else { vec![Some(Duration::from_millis(20)), None] },
        traffic,
    }
}

/// Pinky and brain with so many VIPs, every other one here.
pub fn seen(vips: usize) -> Seen {
    let name = |number: usize| if number.is_multiple_of(2) { "pinky" } else { "brain" };
    let here = |number: usize| name(number) == "pinky";
    let vips: Vec<Vip> = (0..vips)
        .map(|number| Vip {
            address: vip(number),
            link: "eth0".into(),
            home: None,
            place: if here(number) { Place::Held } else { Place::Away },
            reason: if here(number) { Reason::PlacedHere } else { Reason::PlacedElsewhere },
            since: Duration::from_secs(90),
            contested_by: None,
        })
        .collect();
    let groups = (0..vips.len()).map(|number| GroupStatus {
        name: format!("group <{number}>").into(),
        vips: vec![VipId(u32::try_from(number).expect("few VIPs"))],
        present: Some(name(number).into()),
        holder: Some(name(number).into()),
        reason: format!("{} is home & well", name(number)),
        moving: None,
        placed: None,
        lease: (number == 0).then(|| LeaseStatus {
            claimed: true,
            left: Some(Duration::from_millis(750)),
            votes: 2,
            needed: 2,
            waits: None,
        }),
    });
    let groups: Vec<GroupStatus> = groups.collect();
    let check = Check {
        name: "http http://10.10.0.0/".into(),
        vip: vip(0),
        target: CheckTarget::Vip,
        vantage: Vantage::OnItself,
        state: CheckState::Passing,
        since: Some(Duration::from_secs(5)),
        last_failure: None,
    };
    let peer = Peer {
        name: "brain".into(),
        addresses: vec!["10.0.0.2".parse().expect("an address"), "fd00::2".parse().expect("one")],
        life: HostLife::Alive,
        heard_ago: Some(Duration::from_millis(20)),
        round_trip: Some(Duration::from_micros(250)),
        macs: Vec::new(),
        rounds_sent: 7,
        answers: 6,
    };
    let status =
        Status { peers: vec![peer], vips, checks: vec![check], malformed: vec![("too short", 1)] };
    let cluster = ClusterStatus {
        nodes: vec![node("pinky", true), node("brain", false)],
        groups,
        quorum: None,
        isolated: false,
        refused: vec![("replayed", 3), ("unknown-key", 0)],
    };
    let pulse = Pulse { turns: 1000, lateness: histogram(&[0, 1]) };
    let address = |vip: &VipId| status.vips[vip.index()].address;
    let of_group = |group: &GroupStatus| group.vips.iter().map(address).collect();
    let addresses = cluster.groups.iter().map(of_group).collect();
    let cluster =
        SeenCluster { name: "web".into(), node: "pinky".into(), addresses, status: cluster };
    Seen { status, cluster: Some(cluster), pulse }
}

/// A ledger of a run that has seen something of everything.
pub fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    let group: Arc<str> = "group <0>".into();
    ledger.adopt([(&group, &[vip(0)][..])].into_iter(), vec!["web".to_owned()]);
    ledger.transitions.entry(("taken", "holder-dead")).or_default().insert(vip(0), 1);
    ledger.takeovers.record(Duration::from_millis(250));
    ledger.note_check(0, true, Duration::from_millis(3));
    ledger.note_hook("on-take", false);
    ledger.webhooks.push(("pager".to_owned(), Arc::default()));
    ledger
}

/// A front that is served by a thread of its own.
pub struct Served {
    pub address: SocketAddr,
    /// How often the fast loop was asked.
    pub looks: Arc<AtomicUsize>,
    /// What it answers.
    pub seen: Arc<Mutex<Result<Seen, String>>>,
    changes: tokio::sync::mpsc::UnboundedSender<Change>,
}

/// Another `[http]`, and where the answer goes.
type Change = (Option<Http>, std::sync::mpsc::Sender<Result<(), String>>);

impl Served {
    pub fn behind(settings: &Http) -> Self {
        let looks = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(Ok(seen(4))));
        let (counter, source) = (looks.clone(), seen.clone());
        let look: Look = Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            let seen = source.lock().expect("seen").clone();
            Box::pin(async move { seen })
        });
        let ledger: SharedLedger = Arc::new(Mutex::new(ledger()));
        let door = Door::open(settings).expect("a door");
        let address = door.address().expect("bound");
        let site = Site::new(look, ledger, 1024);
        let (changes, mut wanted) = tokio::sync::mpsc::unbounded_channel::<Change>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut front = Front::open(site, Some(door));
                while let Some((settings, reply)) = wanted.recv().await {
                    let outcome = front.change(settings.as_ref()).await;
                    let _ = reply.send(outcome.map_err(|why| why.to_string()));
                }
            });
        });
        Self { address, looks, seen, changes }
    }

    /// Follows another `[http]`.
    pub fn change(&self, settings: Option<&Http>) -> Result<(), String> {
        let (reply, answer) = std::sync::mpsc::channel();
        self.changes.send((settings.cloned(), reply)).expect("it serves");
        answer.recv().expect("an answer")
    }

    /// On a port that the kernel chooses, for everybody on this host.
    pub fn start() -> Self {
        Self::behind(&local())
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        stream
    }

    /// Sends a whole request that asks for the connection to be closed; head and body.
    pub fn send(&self, request: &str) -> (String, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }

    pub fn get(&self, path: &str, headers: &str) -> (String, String) {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        self.send(&request)
    }
}

pub fn local() -> Http {
    let listen = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    Http { listen, token_file: None, tls: None }
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A file that is removed when it is dropped.
pub struct Scrap(pub PathBuf);

impl Scrap {
    pub fn new(text: &str, mode: u32) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("standin-http-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        Self(path)
    }
}

impl Drop for Scrap {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
