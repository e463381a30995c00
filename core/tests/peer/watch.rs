//! A watch over one host, with a shell whose timers are on time.

use std::time::Duration;

use standin_core::Instant;
use standin_core::config::Timing;
use standin_core::peer::{Change, Life, Peer};

pub const START: Instant = Instant::from_nanos(1_000_000_000_000);
pub const DEAD_AFTER: Duration = ms(200);

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn just_under(length: Duration) -> Duration {
    length.saturating_sub(Duration::from_nanos(1))
}

pub fn timing(dead_after: Duration) -> Timing {
    let interval = Timing::default_interval(dead_after);
    Timing { dead_after, interval, back_after: dead_after }
}

/// A peer on a link that carries frames, with a shell whose timers are on time.
pub struct Watch {
    pub peer: Peer,
    pub now: Instant,
    pub changes: Vec<(Duration, Change)>,
    pub rounds: Vec<Instant>,
}

impl Watch {
    pub fn new(timing: Timing) -> Self {
        let mut peer = Peer::new(timing, START);
        peer.handle_link_proven(START);
        Self { peer, now: START, changes: Vec::new(), rounds: Vec::new() }
    }

    /// One that has just been heard.
    pub fn alive(timing: Timing) -> Self {
        let mut watch = Self::new(timing);
        watch.turn();
        watch.hear(Some(Duration::from_micros(200)));
        watch
    }

    pub fn dead(timing: Timing) -> Self {
        let mut watch = Self::alive(timing);
        watch.run(timing.dead_after * 2);
        assert!(matches!(watch.peer.life(), Life::Dead { .. }));
        watch.changes.clear();
        watch
    }

    fn note(&mut self, change: Option<Change>) {
        self.changes.extend(change.map(|change| (self.now.since(START), change)));
    }

    pub fn hear(&mut self, round_trip: Option<Duration>) {
        let change = self.peer.handle_heard(self.now, round_trip);
        self.note(change);
    }

    pub fn turn(&mut self) {
        let (change, round) = self.peer.handle_timeout(self.now);
        self.note(change);
        if round {
            self.rounds.push(self.now);
        }
        let change = self.peer.judge(self.now);
        self.note(change);
    }

    /// Runs on time for `length`, silent.
    pub fn run(&mut self, length: Duration) {
        let end = self.now + length;
        while let Some(at) = self.peer.timeout().filter(|at| *at <= end) {
            assert!(at >= self.now, "a deadline was left behind");
            self.now = at;
            self.turn();
        }
        self.now = end;
    }

    pub fn names(&self) -> Vec<&'static str> {
        let name = |change: &Change| match change {
            Change::Alive { dead_for: None } => "alive",
            Change::Alive { dead_for: Some(_) } => "back",
            Change::Suspected { .. } => "suspected",
            Change::Cleared { .. } => "cleared",
            Change::Died { .. } => "died",
        };
        self.changes.iter().map(|(_, change)| name(change)).collect()
    }
}
