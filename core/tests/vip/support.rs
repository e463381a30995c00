//! A VIP with what is around it, and a kernel that says what it is told to say.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use standin_core::config::{
    Failback, Home, LinkId, LinkState, OnAnswer, OnCheckFailure, PeerId, Vip as Settings, VipId,
};
use standin_core::decide::{Cause, Reason};
use standin_core::neighbour::{self, Heard};
use standin_core::vip::{Meaning, Place, Surroundings, Vip};
use standin_core::wire::mac::Mac;
use standin_core::{Action, Instant, Report};

pub const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 37));
/// Some other address.
pub const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
/// A whole question takes so long.
pub const WINDOW: Duration = ms(60);

/// This host; others are lower and higher than it.
pub const OURS: Mac = Mac([2, 0, 0, 0, 0, 5]);
pub const LOWER: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub const HIGHER: Mac = Mac([2, 0, 0, 0, 0, 9]);
/// The home of the VIP, where it is a watched host.
pub const BRAIN: Mac = Mac([2, 0, 0, 0, 0, 2]);
/// A watched host that is not its home.
pub const LARRY: Mac = Mac([2, 0, 0, 0, 0, 3]);

pub const AT_BRAIN: Home = Home::Peer(PeerId(0));

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn just_under(length: Duration) -> Duration {
    length.saturating_sub(Duration::from_nanos(1))
}

/// 'I have this address.'
pub fn asserts(by: Mac) -> Heard {
    Heard { mac: by, asserts: Some(VIP), asks: None }
}

/// 'Does anybody have this address?', from one who has none.
pub fn probes(by: Mac) -> Heard {
    Heard { mac: by, asserts: None, asks: Some(VIP) }
}

/// 'Who has this address?', from one who wants to send something there.
pub fn asks(by: Mac) -> Heard {
    Heard { mac: by, asserts: Some(OTHER), asks: Some(VIP) }
}

pub struct Stage {
    pub vip: Vip,
    pub now: Instant,
    pub link: LinkState,
    home: Home,
    /// What was done, and when, since it was last taken.
    pub done: Vec<(Instant, Action)>,
}

impl Stage {
    pub fn new(home: Home) -> Self {
        Self::with(home, |_| ())
    }

    pub fn with(home: Home, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            address: VIP,
            link: LinkId(0),
            home,
            failback: Failback::Yes,
            on_answer: OnAnswer::Wait,
            on_check_failure: OnCheckFailure::Takeover,
            adopted: false,
            shares_lifetime: false,
        };
        change(&mut settings);
        let link = LinkState {
            up: true,
            mac: OURS,
            ipv4: Some(Ipv4Addr::new(192, 0, 2, 5)),
            ipv6: None,
            gateways: Vec::new(),
            router: false,
        };
        let now = Instant::from_nanos(3_600_000_000_000);
        let vip = Vip::new(VipId(0), &settings, now);
        Self { vip, now, link, home, done: Vec::new() }
    }

    /// One that is here, confirmed and announced a while ago.
    pub fn held(home: Home) -> Self {
        Self::held_with(home, |_| ())
    }

    pub fn held_with(home: Home, change: impl FnOnce(&mut Settings)) -> Self {
        Self::held_for(Self::with(home, change), cause(home))
    }

    /// The same, for this cause.
    pub fn held_for(mut self, cause: Option<Cause>) -> Self {
        self.want_for(cause);
        self.run(WINDOW);
        self.added();
        assert_eq!(self.vip.place(), Place::Held);
        // Past the series of announcements, amid the long pause behind it.
        self.run_confirming(ms(20_250));
        self.done.clear();
        self
    }

    /// One whose question has just begun.
    pub fn asking(home: Home) -> Self {
        let mut stage = Self::new(home);
        stage.want();
        assert_eq!(stage.vip.place(), Place::Asking);
        stage.done.clear();
        stage
    }

    pub fn want(&mut self) {
        self.want_for(cause(self.home));
    }

    pub fn want_for(&mut self, cause: Option<Cause>) {
        self.act(|vip, around| vip.want(around, cause, Reason::Own));
    }

    /// Runs something on the VIP, and keeps what it does.
    pub fn act<T>(&mut self, run: impl FnOnce(&mut Vip, &mut Surroundings<'_>) -> T) -> T {
        let mut actions = VecDeque::new();
        let home_macs: &[Mac] = if self.home == AT_BRAIN { &[BRAIN] } else { &[] };
        let mut around = Surroundings {
            now: self.now,
            link: &self.link,
            home_macs,
            peer_macs: &[BRAIN, LARRY],
            home: &Arc::from("brain"),
            known: &[],
            ask_window: WINDOW,
            ask_pause: ms(10),
            actions: &mut actions,
        };
        let result = run(&mut self.vip, &mut around);
        self.done.extend(actions.into_iter().map(|action| (self.now, action)));
        result
    }

    /// A frame of another host, and then everything was read.
    pub fn hear(&mut self, heard: Heard) -> Meaning {
        let meaning = self.act(|vip, around| vip.handle_heard(around, &heard));
        self.act(Vip::settle);
        meaning
    }

    /// The kernel has added the address.
    pub fn added(&mut self) {
        self.act(|vip, around| vip.handle_added(around, Ok(())));
        self.act(Vip::settle);
    }

    /// The kernel has removed it.
    pub fn removed(&mut self) {
        self.act(|vip, around| vip.handle_removed(around, Ok(())));
        self.act(Vip::settle);
    }

    /// The kernel answers for it no more, or again; or it cannot.
    pub fn quieted(&mut self, quiet: bool, can: bool) {
        let result = if can { Ok(()) } else { Err("no such table".to_owned()) };
        self.act(|vip, around| vip.handle_quieted(around, quiet, &result));
        self.act(Vip::settle);
    }

    /// Lets time pass with timers that are on time; the kernel says nothing.
    ///
    /// # Panics
    /// When something is due again at once.
    pub fn run(&mut self, length: Duration) {
        let end = self.now + length;
        while let Some(at) = self.vip.timeout().filter(|at| *at <= end) {
            self.turn(at);
        }
        self.now = end;
    }

    /// The same, with a kernel that confirms every renewal.
    pub fn run_confirming(&mut self, length: Duration) {
        let end = self.now + length;
        while let Some(at) = self.vip.timeout().filter(|at| *at <= end) {
            let before = self.done.len();
            self.turn(at);
            let adds = self.done[before..].iter();
            let adds = adds.filter(|(_, action)| matches!(action, Action::AddAddress { .. }));
            for _ in 0..adds.count() {
                self.added();
            }
        }
        self.now = end;
    }

    fn turn(&mut self, at: Instant) {
        self.now = self.now.max(at);
        self.act(Vip::handle_timeout);
        self.act(Vip::settle);
        let next = self.vip.timeout();
        assert!(next.is_none_or(|next| next > self.now), "due again at once: {:?}", self.vip);
    }

    /// How long after `start` each thing was done that `which` picks.
    pub fn times(&self, start: Instant, which: impl Fn(&Action) -> bool) -> Vec<Duration> {
        let picked = self.done.iter().filter(|(_, action)| which(action));
        let mut times: Vec<Duration> = picked.map(|(at, _)| at.since(start)).collect();
        times.dedup();
        times
    }

    /// The names of the reports so far.
    pub fn said(&self) -> Vec<&'static str> {
        let reports = self.done.iter().filter_map(|(_, action)| match action {
            Action::Report(report) => Some(Report::name(report)),
            _ => None,
        });
        reports.collect()
    }

    /// Whether anything was done that `which` picks.
    pub fn did(&self, which: impl Fn(&Action) -> bool) -> bool {
        self.done.iter().any(|(_, action)| which(action))
    }
}

/// Why it is here, in the ordinary case.
fn cause(home: Home) -> Option<Cause> {
    match home {
        Home::Here | Home::Cluster => None,
        Home::Peer(_) => Some(Cause::HomeDead),
    }
}

fn frame_says(action: &Action, says: impl Fn(Heard) -> bool) -> bool {
    matches!(action, Action::SendFrame { frame, .. } if neighbour::hear(frame).is_ok_and(says))
}

/// A frame that says that the address is here.
pub fn announces(action: &Action) -> bool {
    frame_says(action, |heard| heard.asserts == Some(VIP) && heard.mac == OURS)
}

/// A frame that says that the address is there.
pub fn vouches_for(by: Mac) -> impl Fn(&Action) -> bool {
    move |action| frame_says(action, |heard| heard.asserts == Some(VIP) && heard.mac == by)
}

/// A frame that asks whether anybody has the address.
pub fn is_probe(action: &Action) -> bool {
    frame_says(action, |heard| heard.is_probe() && heard.asks == Some(VIP))
}

/// A frame that asks who has the address, as anybody asks.
pub fn is_question(action: &Action) -> bool {
    frame_says(action, |heard| !heard.is_probe() && heard.asks == Some(VIP) && heard.mac == OURS)
        && !announces(action)
}

pub fn adds(action: &Action) -> bool {
    matches!(action, Action::AddAddress { .. })
}

pub fn removes(action: &Action) -> bool {
    matches!(action, Action::RemoveAddress { .. })
}

/// The kernel is told to answer again.
pub fn ends_quiet(action: &Action) -> bool {
    matches!(action, Action::QuietAddress { quiet: false, .. })
}
