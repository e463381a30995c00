//! Whether a watched host lives.
//!
//! Owns the evidence of life of one host, the schedule of its probes and the verdict. Never sends
//! anything and never decides what follows from a verdict. Invariant: a host is dead only when
//! nothing of it was heard for `dead_after`, at least [`ENOUGH_ROUNDS`] rounds of probes were sent
//! into that silence, each had time to be answered, and everything that had arrived was read.
//!
//! ```text
//!             heard                     silent for suspect_after
//!  Unknown ───────────▶ Alive ◀─────────────────────────┐
//!     │                   │  └──▶ Alive, suspected ──────┘ heard
//!     │ silent            │            │
//!     │ (patience)        │            │ silent for dead_after, burst unanswered
//!     └──────────▶ Dead ◀─┴────────────┘
//!                   └───────▶ Alive (steady only after back_after)   heard
//! ```

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::config::Timing;
use crate::time::Instant;

/// Rounds of probes in a burst of suspicion. At 20 % loss each way a round of one kind goes
/// unanswered with 0.36, so a whole burst does with 0.36^24 = 2e-11; at 40 % with 2e-5 for one kind
/// and 5e-10 for two.
pub const BURST_ROUNDS: u32 = 24;
/// A round trip longer than this share of `dead_after` is long.
const SLOW_SHARE: u32 = 4;
/// So many long ones in a row, and the path is slow.
const SLOW_IN_A_ROW: u32 = 16;
/// Unanswered rounds without which nobody is declared dead, however late the timers were.
pub const ENOUGH_ROUNDS: usize = 8;
/// After the start, and after a link came up, a host is given so long before the first verdict,
/// unless the link has been seen to carry frames of anybody (ports of switches wake up slowly).
const UNPROVEN_LINK: Duration = Duration::from_secs(3);

/// Whether a host lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Not heard yet, and not silent for long enough.
    Unknown,
    /// Heard within `dead_after`.
    Alive,
    /// Silent since then.
    Dead {
        /// When it was last heard, or when listening began.
        silent_since: Instant,
    },
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It answers for the first time, or again after having been dead for so long.
    Alive {
        /// `None` for the first time.
        dead_for: Option<Duration>,
    },
    /// The burst starts.
    Suspected {
        /// How long it has been silent.
        silent: Duration,
    },
    /// It answered during the burst.
    Cleared {
        /// How long it had been silent.
        silent: Duration,
    },
    /// The verdict.
    Died {
        /// How long it has been silent.
        silent: Duration,
        /// Rounds that went unanswered.
        rounds: u32,
    },
}

/// The watch over one host.
#[derive(Clone, Debug)]
pub struct Peer {
    timing: Timing,
    life: Life,
    /// The start of the present silence: the last sign of life, or a later moment from which
    /// silence means something again (start, link up, a stall of ours).
    silent_since: Instant,
    heard_at: Option<Instant>,
    steady_since: Option<Instant>,
    /// How much silence is a verdict: `dead_after`, or more while the link is unproven.
    patience: Duration,
    suspected: bool,
    /// When each unanswered round of the present silence was sent, the latest few.
    rounds: VecDeque<Instant>,
    rounds_sent: u32,
    /// Rounds of the present burst.
    burst_sent: u32,
    /// Probes of the latest round that could not be sent.
    not_sent: usize,
    next_round: Option<Instant>,
    round_trip: RoundTrip,
    /// So many round trips in a row were long for what is to be detected.
    slow_trips: u32,
}

impl Peer {
    /// Starts watching at `now`; the first round of probes is due at once.
    pub fn new(timing: Timing, now: Instant) -> Self {
        let mut peer = Self {
            timing,
            life: Life::Unknown,
            silent_since: now,
            heard_at: None,
            steady_since: None,
            patience: timing.dead_after,
            suspected: false,
            rounds: VecDeque::new(),
            rounds_sent: 0,
            burst_sent: 0,
            not_sent: 0,
            next_round: None,
            round_trip: RoundTrip::default(),
            slow_trips: 0,
        };
        peer.resume(now);
        peer
    }

    /// Whether it lives.
    pub fn life(&self) -> Life {
        self.life
    }

    /// The last sign of life.
    pub fn heard_at(&self) -> Option<Instant> {
        self.heard_at
    }

    /// Since when it has answered without any suspicion.
    pub fn steady_since(&self) -> Option<Instant> {
        self.steady_since.filter(|_| !self.suspected && self.life == Life::Alive)
    }

    /// Whether it lived when our own way to it was cut, and has not been heard since the way is open
    /// again, if it is: what is known of it is old, and its silence says nothing.
    pub fn is_stale(&self) -> bool {
        self.life == Life::Alive && self.steady_since.is_none()
    }

    /// Whether the burst is on.
    pub fn is_suspected(&self) -> bool {
        self.suspected
    }

    /// The smoothed round trip, once one has been measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.smoothed
    }

    /// The usual round trip, when the latest have all taken more than a quarter of the time after which
    /// this host is called dead: some that waited, as for a link that came up, say nothing about the
    /// path.
    pub fn slow_round_trip(&self) -> Option<Duration> {
        self.round_trip().filter(|_| self.slow_trips >= SLOW_IN_A_ROW)
    }

    /// When the present silence becomes a verdict.
    pub fn deadline(&self) -> Instant {
        self.silent_since + self.patience
    }

    /// When something is to be done: a round of probes or a verdict.
    pub fn timeout(&self) -> Option<Instant> {
        let verdict = match self.life {
            Life::Dead { .. } => None,
            Life::Unknown | Life::Alive if self.next_round.is_none() => None,
            Life::Unknown | Life::Alive if self.suspected => {
                self.answered_by().map(|answered| self.deadline().max(answered))
            }
            Life::Unknown | Life::Alive => Some(self.suspicion_start()),
        };
        [self.next_round, verdict].into_iter().flatten().min()
    }

    /// Does what is due: starts the suspicion, and says whether a round of probes is to be sent.
    pub fn handle_timeout(&mut self, now: Instant) -> (Option<Change>, bool) {
        let mut change = None;
        if self.next_round.is_some() && self.is_judgeable() && !self.suspected {
            let start = self.suspicion_start();
            if now >= start {
                self.suspected = true;
                self.burst_sent = 0;
                self.next_round = Some(now);
                if self.life == Life::Alive {
                    change = Some(Change::Suspected { silent: now.since(self.silent_since) });
                }
            }
        }
        let due = self.next_round.is_some_and(|at| now >= at);
        if due {
            self.count_round(now);
        }
        (change, due)
    }

    /// Whether a round is due that belongs to no suspicion.
    pub fn is_due(&self, now: Instant) -> bool {
        self.is_regular(now) && self.next_round.is_some_and(|at| at <= now)
    }

    /// Brings the next round forward to `now` if it is due within `within` anyway and belongs to no
    /// suspicion; whether it did. Hosts whose rounds are brought together once stay together, and
    /// one wake-up serves them all.
    pub fn hasten(&mut self, now: Instant, within: Duration) -> bool {
        let soon = self.next_round.is_some_and(|at| at > now && at <= now + within);
        let hastens = soon && self.is_regular(now);
        if hastens {
            self.next_round = Some(now);
        }
        hastens
    }

    /// Neither suspected nor about to be.
    fn is_regular(&self, now: Instant) -> bool {
        !self.is_judgeable() || now < self.suspicion_start()
    }

    /// Which round of the burst was sent last, from one on; none outside a suspicion.
    pub fn burst_round(&self) -> Option<u32> {
        self.suspected.then_some(self.burst_sent)
    }

    /// A sign of life, with the round trip where it answers a probe.
    pub fn handle_heard(&mut self, now: Instant, round_trip: Option<Duration>) -> Option<Change> {
        // What comes out of a silence has waited somewhere, and says nothing about the path.
        let in_silence = self.suspected || matches!(self.life, Life::Dead { .. });
        if let Some(sample) = round_trip.filter(|_| !in_silence) {
            self.round_trip.add(sample);
            let slow = sample > self.timing.dead_after / SLOW_SHARE;
            self.slow_trips = if slow { self.slow_trips.saturating_add(1) } else { 0 };
        }
        let silent = now.since(self.silent_since);
        let change = match self.life {
            Life::Unknown => Some(Change::Alive { dead_for: None }),
            Life::Dead { silent_since } => {
                Some(Change::Alive { dead_for: Some(now.since(silent_since)) })
            }
            Life::Alive if self.suspected => Some(Change::Cleared { silent }),
            Life::Alive => None,
        };
        if change.is_some() || self.steady_since.is_none() {
            self.steady_since = Some(now);
        }
        self.life = Life::Alive;
        self.heard_at = Some(now);
        self.patience = self.timing.dead_after;
        self.start_silence(now);
        if change.is_some() {
            let soon = now + self.timing.interval;
            self.next_round = self.next_round.map(|_| soon);
        }
        change
    }

    /// A probe of the latest round, which has so many in all, could not be sent. A round of which
    /// nothing was sent does not count; says whether this was such a round.
    pub fn handle_not_sent(&mut self, probes_per_round: usize) -> bool {
        self.not_sent += 1;
        let whole_round = self.not_sent == probes_per_round;
        if whole_round && self.rounds.pop_back().is_some() {
            self.rounds_sent = self.rounds_sent.saturating_sub(1);
        }
        whole_round
    }

    /// The round that is due need not be sent: the host is heard by other means.
    pub fn skip_round(&mut self) {
        if self.rounds.pop_back().is_some() {
            self.rounds_sent = self.rounds_sent.saturating_sub(1);
        }
    }

    /// Everything that had arrived by `now` has been read: judge.
    pub fn judge(&mut self, now: Instant) -> Option<Change> {
        if !self.suspected || now < self.deadline() {
            return None;
        }
        let allowance = self.allowance();
        let unanswered = self.rounds.iter().filter(|sent| **sent + allowance <= now).count();
        if unanswered < ENOUGH_ROUNDS {
            return None;
        }
        self.life = Life::Dead { silent_since: self.silent_since };
        self.steady_since = None;
        self.suspected = false;
        self.next_round = Some(now + self.timing.interval);
        Some(Change::Died { silent: now.since(self.silent_since), rounds: self.rounds_sent })
    }

    /// The link has carried a frame of somebody: silence on it means something.
    pub fn handle_link_proven(&mut self, now: Instant) {
        if self.patience > self.timing.dead_after {
            self.patience = self.timing.dead_after;
            self.handle_stall(now);
        }
    }

    /// The way to the host is known to be cut on our side: no probes, no verdict.
    pub fn pause(&mut self) {
        self.next_round = None;
        self.suspected = false;
        self.steady_since = None;
        self.rounds.clear();
    }

    /// Whether the way is known to be cut.
    pub fn is_paused(&self) -> bool {
        self.next_round.is_none()
    }

    /// The way is open again (or for the first time): silence is measured from here.
    pub fn resume(&mut self, now: Instant) {
        self.patience = (self.timing.dead_after * 3).max(UNPROVEN_LINK);
        self.start_silence(now);
        self.steady_since = None;
        self.next_round = Some(now);
    }

    /// Silence meant nothing until now (this process did not run, or the link did not carry): the
    /// whole burst is to be repeated.
    pub fn handle_stall(&mut self, now: Instant) {
        let start = now - self.suspect_after();
        if start > self.silent_since {
            self.start_silence(start);
        }
    }

    /// When the question for an address should be asked so that the silence after it is known at
    /// the verdict; only while suspected.
    pub fn ask_at(&self, window: Duration) -> Option<Instant> {
        self.suspected.then(|| self.deadline() - window)
    }

    fn is_judgeable(&self) -> bool {
        match self.life {
            Life::Unknown | Life::Alive => true,
            Life::Dead { .. } => false,
        }
    }

    fn start_silence(&mut self, since: Instant) {
        self.silent_since = since;
        self.suspected = false;
        self.rounds.clear();
        self.rounds_sent = 0;
    }

    /// Half of `dead_after`, or more where the regular probes are so rare that one of them would
    /// not have been answered by then.
    fn suspect_after(&self) -> Duration {
        let Timing { dead_after, interval, .. } = self.timing;
        (dead_after / 2).max(interval + dead_after / 10)
    }

    fn suspicion_start(&self) -> Instant {
        self.deadline() - self.timing.dead_after.saturating_sub(self.suspect_after())
    }

    /// How long an answer may take: four deviations above the mean as for TCP (RFC 6298), within
    /// bounds that leave the burst most of its time.
    fn allowance(&self) -> Duration {
        let dead_after = self.timing.dead_after;
        let expected = self.round_trip.bound().unwrap_or(dead_after / 10);
        expected.clamp(dead_after / 40, dead_after / 8)
    }

    /// When the last of the rounds that must go unanswered will have had its time; `None` while
    /// there are too few.
    fn answered_by(&self) -> Option<Instant> {
        self.rounds.get(ENOUGH_ROUNDS - 1).map(|sent| *sent + self.allowance())
    }

    fn count_round(&mut self, now: Instant) {
        if self.is_judgeable() {
            if self.rounds.len() == BURST_ROUNDS as usize {
                self.rounds.pop_front();
            }
            self.rounds.push_back(now);
            self.rounds_sent += 1;
            self.burst_sent += u32::from(self.suspected);
        }
        self.not_sent = 0;
        let pause = if self.suspected { self.burst_pause(now) } else { self.timing.interval };
        self.next_round = Some(now + pause);
    }

    /// Spreads the burst evenly over what is left until the last answers must be in. When that is
    /// over (the timers were late, or probes could not be sent), goes on at its planned pace.
    fn burst_pause(&self, now: Instant) -> Duration {
        let pace = self.timing.dead_after.saturating_sub(self.suspect_after()) / BURST_ROUNDS;
        let left = (self.deadline() - self.allowance()).since(now);
        match left.checked_div(BURST_ROUNDS.saturating_sub(self.burst_sent)) {
            Some(pause) => pause.max(pace / 2),
            None => pace.max((self.deadline() + pace).since(now)),
        }
    }
}

/// The round trip, smoothed (RFC 6298, 2).
#[derive(Clone, Copy, Debug, Default)]
struct RoundTrip {
    smoothed: Option<Duration>,
    deviation: Duration,
}

impl RoundTrip {
    fn add(&mut self, sample: Duration) {
        match self.smoothed {
            None => {
                self.smoothed = Some(sample);
                self.deviation = sample / 2;
            }
            Some(smoothed) => {
                let apart = smoothed.abs_diff(sample);
                self.deviation = self.deviation * 3 / 4 + apart / 4;
                self.smoothed = Some(smoothed * 7 / 8 + sample / 8);
            }
        }
    }

    fn bound(&self) -> Option<Duration> {
        self.smoothed.map(|smoothed| smoothed + self.deviation * 4)
    }
}
