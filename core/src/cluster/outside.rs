//! What the other nodes find at an address from outside, and what its holder makes of that.
//!
//! Owns the count of those who get no answer, and the pause after which a node that lost a group
//! for it may have it again. Never runs a check, never moves anything. Invariant: a node that gave
//! a group up for the others' word is in doubt for at least [`FIRST_PAUSE`] from then on.
//!
//! ```text
//!            others say so               given away
//!   sound ───────────────────▶ accused ─────────────▶ paused ── pause over ──▶ sound
//!     ▲ ◀── they say so no more ──┘                     each time twice as long
//! ```

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::place::NodeId;
use crate::time::Instant;

/// How long a node is not chosen again for a group after the others had no answer of it there.
pub const FIRST_PAUSE: Duration = Duration::from_mins(5);
/// The pause doubles each time, up to this.
pub const LONGEST_PAUSE: Duration = Duration::from_hours(4);
/// Bytes of one accusation: the first group u16, how many groups in a row u16, the holder u16.
pub const ACCUSATION_LENGTH: usize = 6;

/// Whether the word of so many of those who can judge counts: more than half of them.
pub const fn is_majority(accusers: usize, judges: usize) -> bool {
    accusers * 2 > judges
}

/// Whether a group is on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is elsewhere.
    Away,
    /// It is being given to another node, so that who is meant by the others is not certain.
    Leaving,
    /// It is here.
    Here {
        /// A majority of the others gets no answer of it.
        accused: bool,
    },
}

/// What a node has to hold against itself for one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    accused: bool,
    here: bool,
    /// How often it gave the group away for it.
    times: u32,
    /// The end of the pause.
    until: Option<Instant>,
    /// Since when it has been here and nobody complained.
    sound_since: Option<Instant>,
}

impl Doubt {
    /// Follows what is so at `now`.
    pub fn follow(&mut self, now: Instant, presence: Presence) {
        match presence {
            Presence::Leaving => {}
            Presence::Here { accused } => {
                self.here = true;
                self.accused = accused;
                let since = *self.sound_since.get_or_insert(now);
                if now.since(since) >= pause(self.times) {
                    *self =
                        Self { here: true, accused, sound_since: Some(since), ..Self::default() };
                }
                if accused {
                    self.sound_since = None;
                }
            }
            Presence::Away => {
                if core::mem::take(&mut self.accused) {
                    self.times = self.times.saturating_add(1);
                    self.until = Some(now + pause(self.times));
                }
                self.here = false;
                self.sound_since = None;
                self.until = self.until.filter(|until| now < *until);
            }
        }
    }

    /// Whether another node is to be chosen rather than this one.
    pub fn is_doubted(&self) -> bool {
        self.accused || (!self.here && self.until.is_some())
    }

    /// When the pause is over.
    pub fn timeout(&self) -> Option<Instant> {
        self.until.filter(|_| !self.here)
    }
}

fn pause(times: u32) -> Duration {
    let doublings = times.saturating_sub(1).min(16);
    (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE)
}

/// By group, in ascending order: the holder of which no answer comes.
pub type Accusations = BTreeMap<u16, NodeId>;

/// As many as fit into `room` bytes, groups in a row with one holder as one.
pub fn encode(accusations: &Accusations, room: usize) -> Vec<u8> {
    let mut rows: Vec<(u16, u16, NodeId)> = Vec::new();
    for (group, holder) in accusations {
        match rows.last_mut() {
            Some((first, count, same)) if *same == *holder && *first + *count == *group => {
                *count += 1;
            }
            Some(_) | None => rows.push((*group, 1, *holder)),
        }
    }
    let mut body = Vec::new();
    for (first, count, holder) in rows.into_iter().take(room / ACCUSATION_LENGTH) {
        body.extend_from_slice(&first.to_be_bytes());
        body.extend_from_slice(&count.to_be_bytes());
        body.extend_from_slice(&holder.0.to_be_bytes());
    }
    body
}

/// Reads what [`encode`] wrote, of a cluster with so many groups; the rest is left out.
pub fn parse(body: &[u8], groups: usize) -> Accusations {
    let mut accusations = Accusations::new();
    let (rows, _) = body.as_chunks::<ACCUSATION_LENGTH>();
    for [first, first_low, count, count_low, holder, holder_low] in rows.iter().copied() {
        let first = u16::from_be_bytes([first, first_low]);
        let count = u16::from_be_bytes([count, count_low]);
        let holder = NodeId(u16::from_be_bytes([holder, holder_low]));
        let known = (first..=u16::MAX).take(usize::from(count));
        let known = known.take_while(|group| usize::from(*group) < groups);
        accusations.extend(known.map(|group| (group, holder)));
    }
    accusations
}
