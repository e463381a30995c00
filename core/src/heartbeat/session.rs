//! Which authentic packets of one peer are also fresh.
//!
//! Owns, per peer: the peer's incarnation that is believed, a window over its counter, the
//! challenge that an unknown incarnation has to answer, and our own counter. Never asks a clock,
//! never draws a random number itself, never decides whether the peer is alive.
//!
//! ```text
//!                       unknown incarnation: a nonce is drawn (once), and goes out
//!                       with every packet until it is answered or renewed
//!                          +------+
//!                          |      v
//!                    +---------------+     the nonce comes back     +---------------+
//!       new() -----> |   Strangers   | ---------------------------> |  Believed (I) |
//!                    +---------------+                              +---------------+
//!                                                                     |  ^     |  ^
//!                                     counter above all others:       |  |     |  |
//!                                     evidence of life  --------------+--+     |  |
//!                                                                              |  |
//!       unknown incarnation J: a nonce is drawn; J echoes it:                  |  |
//!       I is past, J is believed  ---------------------------------------------+--+
//!       (I echoes it: the packet of J was a replay, I stays believed)
//! ```
//!
//! # Invariants
//!
//! 1. *A packet is evidence of life at most once, and only if it was sent after every packet that
//!    was evidence before.* Evidence needs a counter above the highest of its incarnation. A copy
//!    is never evidence, whichever path it takes, and neither is an overtaken packet: an attacker
//!    who kept some of a peer's packets back cannot feed them in one by one after its death.
//! 2. *An incarnation is believed only after it has received a nonce drawn here after this
//!    session began.* So no recording brings an earlier run back, across restarts of either side:
//!    not the peer's, whose earlier runs never saw the nonce, and not ours, since a new session
//!    draws new nonces. All counters up to that of the packet that carried the answer count as
//!    heard.
//! 3. *Once followed by another, an incarnation is past*, and is not even challenged again. The
//!    last [`PAST_MAX`] are remembered; older ones fall under rule 2.
//! 4. *A path is alive by packets alone that are news on it*: each path has its own highest
//!    counter, and what lies below it, or below the window of the session, is no sign of the path.
//!    The same bytes go out on all paths, so the copy on the second path is the usual sign that
//!    this one works too. Whoever can read one path and inject into another can make that one look
//!    alive, but only as long as the peer really is.
//!
//! # What remains
//!
//! Who can hold up packets on *every* path can build up a delay, little by little and without a
//! silence: to this side the peer then looks as it was that much earlier. The same can be done with
//! packets that never arrived, since a cut lay between or the key was another; each counts once. The
//! round trip measured with an [`Echo`](super::Echo) shows the delay; so evidence of life says 'alive
//! not longer ago than the round trip', and what must never go wrong rests on leases instead. An
//! answer to a challenge can be held up too, which is why the owner renews a nonce that stays
//! unanswered ([`Session::renew_challenge`]).
//!
//! A machine brought back from a snapshot goes on with a counter that its peers have heard: they
//! refuse it until its daemon is restarted or the counter has caught up. Should more than
//! [`PAST_MAX`] other runs of its name be believed meanwhile, it may prove itself anew with such a
//! counter, and recordings of it with higher ones are evidence once more.

use core::num::NonZeroU64;

use super::gate::{Opened, Rejected};
use super::packet::{Flags, Incarnation, Nonce};

/// How many paths one peer may have.
pub const PATHS_MAX: usize = 16;

/// How many of a peer's earlier incarnations are remembered.
pub const PAST_MAX: usize = 4;

/// One way between this node and a peer, numbered by the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(u8);

impl PathId {
    /// The path with this number; `None` from [`PATHS_MAX`] on.
    pub fn new(number: usize) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < PATHS_MAX).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> usize {
        usize::from(self.0)
    }
}

/// What a packet proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The peer sent this after everything heard before: it lives, and this is the newest it says.
    Evidence {
        /// It has been restarted, or is heard for the first time.
        new_incarnation: bool,
    },
    /// The first copy of a packet that later ones overtook. What it asks for may be done; what it
    /// says of the peer's state is outdated, and it is no evidence of life.
    Overtaken,
    /// A copy of a packet that came by another path. It shows that this path works, nothing else.
    Copy,
    /// Nothing, for this reason: [`Rejected::Replayed`], [`Rejected::PastIncarnation`] or
    /// [`Rejected::UnknownIncarnation`].
    Rejected(Rejected),
}

/// What [`Session::receive`] says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What it proves.
    pub verdict: Verdict,
    /// Whether it shows that the path it came by works.
    pub path_alive: bool,
    /// Whether the peer should be sent a packet at once, on this path: it was challenged, or
    /// challenges, or asks. Recorded packets can cause answers too, one each and about as long as
    /// they are, always to the peer itself; the owner bounds how many it sends in a time.
    pub answer: bool,
}

/// What goes into the header of the next packet to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// See [`Header::counter`](super::Header::counter); and so on.
    pub counter: NonZeroU64,
    /// The peer's run that is believed.
    pub heard: Option<Incarnation>,
    /// What the peer has to echo.
    pub challenge: Option<Nonce>,
    /// What we echo.
    pub response: Option<Nonce>,
}

/// Whom the peer hears when it hears this node, by the newest packet of it that was evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nobody yet.
    Nobody,
    /// This run of this node's daemon.
    Us,
    /// Another run: the one before this, until we have answered its challenge; or a second node
    /// with the same name, if it had heard us before.
    Another,
}

/// The incarnation that is believed, and what was heard of it.
#[derive(Clone, Debug)]
struct Believed {
    incarnation: Incarnation,
    window: Window,
    /// The highest counter of each path; before it has one, that before the proof.
    paths: [u64; PATHS_MAX],
    heard: Heard,
}

impl Believed {
    /// What a silent path has missed for certain: nothing that is below the window counts on it.
    fn missing(&self, path: PathId) -> u64 {
        let behind = self.window.highest.saturating_sub(self.paths[path.number()]);
        behind.saturating_sub(Window::SIZE)
    }
}

/// This node's memory of one peer.
#[derive(Clone, Debug)]
pub struct Session {
    /// This run of our own daemon.
    own: Incarnation,
    /// The counter of the packet sent last.
    sent: u64,
    believed: Option<Believed>,
    past: [Option<Incarnation>; PAST_MAX],
    /// What an unknown incarnation has to echo.
    challenge: Option<Nonce>,
    /// What we have to echo.
    response: Option<Nonce>,
    /// By path, what never came on it though something later did, over all incarnations.
    lost: [u64; PATHS_MAX],
}

impl Session {
    /// The memory of a peer never heard. `nonce`, 64 random bits, goes out with the first packet
    /// already, so that the peer's answer to it is believed at once.
    pub const fn new(own: Incarnation, nonce: u64) -> Self {
        Self {
            own,
            sent: 0,
            believed: None,
            past: [None; PAST_MAX],
            challenge: Some(Nonce::from_random(nonce)),
            response: None,
            lost: [0; PATHS_MAX],
        }
    }

    /// Takes a packet that the [`Gate`](super::Gate) opened, from the peer of this session, and
    /// says what it proves. `nonce` is asked for 64 random bits when an unknown incarnation is to
    /// be challenged.
    pub fn receive(
        &mut self,
        opened: &Opened<'_>,
        path: PathId,
        nonce: impl FnOnce() -> u64,
    ) -> Receipt {
        let incarnation = opened.header().incarnation;
        if self.believed.as_ref().is_some_and(|believed| believed.incarnation == incarnation) {
            return self.receive_believed(opened, path);
        }
        if self.past.contains(&Some(incarnation)) {
            return Receipt::refused(Rejected::PastIncarnation);
        }
        if self.challenge.is_some() && opened.header().response == self.challenge {
            return self.believe(opened, path);
        }
        // It must hear the nonce, and we may have to prove ourselves to it. Should it be a
        // recording, the answer we owe to the believed incarnation is lost by this until its next
        // packet, which is then answered at once.
        let drawn = self.challenge.is_none();
        self.challenge.get_or_insert_with(|| Nonce::from_random(nonce()));
        let challenged = opened.header().challenge.is_some() && self.owe(opened);
        let answer = challenged || drawn;
        let verdict = Verdict::Rejected(Rejected::UnknownIncarnation);
        Receipt { verdict, path_alive: false, answer }
    }

    /// What the next packet says. Each packet takes a new one, and goes out on every path with it.
    pub fn outgoing(&mut self) -> Outgoing {
        self.sent = self.sent.saturating_add(1);
        Outgoing {
            counter: NonZeroU64::new(self.sent).unwrap_or(NonZeroU64::MIN),
            heard: self.incarnation(),
            challenge: self.challenge,
            response: self.response,
        }
    }

    /// Replaces a nonce that is still unanswered by `nonce`, 64 new random bits; does nothing when
    /// none is.
    ///
    /// The owner calls this as often as the peer would have to be silent to be called dead: an
    /// answer held up for longer than that is then worth nothing.
    pub fn renew_challenge(&mut self, nonce: u64) {
        if self.challenge.is_some() {
            self.challenge = Some(Nonce::from_random(nonce));
        }
    }

    /// The run of the peer that is believed.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.believed.as_ref().map(|believed| believed.incarnation)
    }

    /// How many packets were made.
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// How many packets did not come on this path though the peer sent them: what a later one on
    /// it has passed over, and on a path that is silent what other paths have carried meanwhile,
    /// without the window's last. Never falls.
    pub fn lost(&self, path: PathId) -> u64 {
        let missing = self.believed.as_ref().map_or(0, |believed| believed.missing(path));
        self.lost[path.number()].saturating_add(missing)
    }

    /// Whom the peer hears when it hears this node.
    pub fn heard(&self) -> Heard {
        self.believed.as_ref().map_or(Heard::Nobody, |believed| believed.heard)
    }

    fn receive_believed(&mut self, opened: &Opened<'_>, path: PathId) -> Receipt {
        let Some(believed) = &mut self.believed else {
            return Receipt::refused(Rejected::UnknownIncarnation);
        };
        let header = opened.header();
        let place = believed.window.take(header.counter.get());
        let on_path = &mut believed.paths[path.number()];
        let path_alive = place != Place::Below && header.counter.get() > *on_path;
        if path_alive {
            let passed_over = header.counter.get() - *on_path - 1;
            let lost = &mut self.lost[path.number()];
            *lost = lost.saturating_add(passed_over);
            *on_path = header.counter.get();
        }
        let verdict = match place {
            Place::Above => return self.newest(opened, false),
            Place::Within => Verdict::Overtaken,
            Place::Heard if path_alive => Verdict::Copy,
            Place::Heard | Place::Below => Verdict::Rejected(Rejected::Replayed),
        };
        Receipt { verdict, path_alive, answer: false }
    }

    /// An incarnation proved that it lives: the one before it is past.
    fn believe(&mut self, opened: &Opened<'_>, path: PathId) -> Receipt {
        let header = opened.header();
        if let Some(before) = self.incarnation() {
            self.past.rotate_right(1);
            self.past[0] = Some(before);
        }
        for path in (0..PATHS_MAX).filter_map(PathId::new) {
            self.lost[path.number()] = self.lost(path);
        }
        // What was sent before the answer is no sign of a path: it may be a recording.
        let mut paths = [header.counter.get() - 1; PATHS_MAX];
        paths[path.number()] = header.counter.get();
        self.believed = Some(Believed {
            incarnation: header.incarnation,
            window: Window::heard_up_to(header.counter.get()),
            paths,
            heard: Heard::Nobody,
        });
        self.newest(opened, true)
    }

    /// The newest packet of the incarnation that is believed.
    fn newest(&mut self, opened: &Opened<'_>, new_incarnation: bool) -> Receipt {
        let header = opened.header();
        if let Some(believed) = &mut self.believed {
            believed.heard = match header.heard {
                None => Heard::Nobody,
                Some(run) if run == self.own => Heard::Us,
                Some(_) => Heard::Another,
            };
        }
        // An answer by the one that is believed anyway: what was challenged was a replay.
        if header.response.is_some() && header.response == self.challenge {
            self.challenge = None;
        }
        let challenged = self.owe(opened);
        let asked = header.flags.contains(Flags::QUERY);
        Receipt {
            verdict: Verdict::Evidence { new_incarnation },
            path_alive: true,
            // One that is new waits to hear that it is believed.
            answer: challenged || asked || new_incarnation,
        }
    }

    /// Takes up the peer's challenge; whether it is one that we have not answered before.
    fn owe(&mut self, opened: &Opened<'_>) -> bool {
        let challenge = opened.header().challenge;
        let new = challenge.is_some() && challenge != self.response;
        self.response = challenge;
        new
    }
}

impl Receipt {
    const fn refused(why: Rejected) -> Self {
        Self { verdict: Verdict::Rejected(why), path_alive: false, answer: false }
    }
}

/// Which counters were heard: all up to `highest - 64`, and those whose bit is set above it.
#[derive(Clone, Debug)]
struct Window {
    highest: u64,
    /// Bit n: `highest - n` was heard.
    heard: u64,
}

/// Where a counter lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Above all that were heard.
    Above,
    /// Within the window, and not heard before.
    Within,
    /// Within the window, and heard before.
    Heard,
    /// Below the window: nobody remembers.
    Below,
}

impl Window {
    const SIZE: u64 = u64::BITS as u64;

    /// Counts everything up to `counter` as heard.
    const fn heard_up_to(counter: u64) -> Self {
        Self { highest: counter, heard: u64::MAX }
    }

    /// Says where `counter` lies, and notes that it was heard.
    fn take(&mut self, counter: u64) -> Place {
        if let Some(step) = counter.checked_sub(self.highest).filter(|step| *step > 0) {
            let kept = u32::try_from(step).ok().and_then(|step| self.heard.checked_shl(step));
            self.heard = kept.unwrap_or(0) | 1;
            self.highest = counter;
            return Place::Above;
        }
        let back = self.highest - counter;
        if back >= Self::SIZE {
            return Place::Below;
        }
        let bit = 1 << back;
        if self.heard & bit != 0 {
            return Place::Heard;
        }
        self.heard |= bit;
        Place::Within
    }
}
