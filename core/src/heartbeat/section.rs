//! What a packet carries behind its header: typed sections, any of which may be absent.
//!
//! Owns the kinds and their bodies. Never looks at the header. Invariant: a [`Payload`] that exists
//! is well formed in every section this version knows; sections of other kinds are kept as bytes,
//! so that a later version may add one.
//!
//! ```text
//!      0      1             3
//!    +------+-------------+- - - - - - -    0 VIP states    first group u16, then the states
//!    | kind | length u16  | body            1 link states   u64, bit n: path n has a link
//!    +------+-------------+- - - - - - -    2 unreachable   u64, bit n: node n is not heard
//! ```
//!
//! # VIP states
//!
//! One byte says the state of one group. Neighbours are mostly alike (a node holds its own range
//! and is ready for all others), so a state may be followed by a count:
//!
//! ```text
//!      bit   7      6         5         4       3         2          1..0
//!    +-------------+---------+---------+-------+---------+----------+--------------------------+
//!    | more follow | refused | doubted | asked | healthy | eligible | role: 0 idle, 1 taking,  |
//!    +-------------+---------+---------+-------+---------+----------+  2 holding, 3 yielding   |
//!    bit 7 clear: one group in this state                                                      |
//!    bit 7 set:   a second byte n follows: n + 2 groups in this state --------------------------+
//! ```
//!
//! No pattern costs more than one byte per group, since two alike cost two bytes either way: so
//! 1000 groups fit one packet whatever their states, and the usual case of a few runs costs about
//! eight bytes per thousand.

use alloc::vec::Vec;

use super::packet::{PACKET_LENGTH_MAX, PACKET_LENGTH_MIN};

/// Bytes in front of each section's body.
pub const PREFIX_LENGTH: usize = 3;
/// The kind of [`VipStates`].
pub const VIP_STATES: u8 = 0;
/// The kind of [`LinkStates`].
pub const LINK_STATES: u8 = 1;
/// The kind of [`Unreachable`].
pub const UNREACHABLE: u8 = 2;

/// Bytes of [`VipStates`] in front of the states.
const FIRST_LENGTH: usize = 2;
/// How many VIP groups fit an otherwise empty packet, whatever their states.
pub const VIP_GROUPS_SURE: usize =
    PACKET_LENGTH_MAX - PACKET_LENGTH_MIN - PREFIX_LENGTH - FIRST_LENGTH;
/// Groups are numbered with 16 bits.
const GROUPS_MAX: usize = 1 << 16;

const MORE_FOLLOW: u8 = 1 << 7;
const REFUSED: u8 = 1 << 6;
const DOUBTED: u8 = 1 << 5;
const ASKED: u8 = 1 << 4;
const HEALTHY: u8 = 1 << 3;
const ELIGIBLE: u8 = 1 << 2;
const ROLE: u8 = 0b11;
/// The shortest run that has a count, and so the run whose count is 0.
const RUN_MIN: usize = 2;
/// The longest run of one count.
const RUN_MAX: usize = RUN_MIN + u8::MAX as usize;

/// What a node does about a VIP group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Nothing.
    #[default]
    Idle,
    /// It is about to hold the group: asking the link, or waiting for the kernel.
    Taking,
    /// The kernel has the addresses, and they are announced.
    Holding,
    /// It still has the addresses and no longer answers for them: the receiver of a planned move
    /// has announced or is about to.
    Yielding,
}

/// What a node says about one VIP group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each a bit of the packet")]
pub struct VipState {
    /// What it does about it.
    pub role: Role,
    /// Whether the node could hold it: healthy, link up, not drained, not isolated.
    pub eligible: bool,
    /// Whether the node's own checks of the group pass.
    pub healthy: bool,
    /// Whether somebody asked this node to take the group: a planned move to it.
    pub asked: bool,
    /// Whether the others get, or lately got, no answer of the group here.
    pub doubted: bool,
    /// Whether the node's kernel refuses an address of it.
    pub refused: bool,
}

impl VipState {
    const fn encode(self) -> u8 {
        let role = match self.role {
            Role::Idle => 0,
            Role::Taking => 1,
            Role::Holding => 2,
            Role::Yielding => 3,
        };
        let eligible = if self.eligible { ELIGIBLE } else { 0 };
        let healthy = if self.healthy { HEALTHY } else { 0 };
        let asked = if self.asked { ASKED } else { 0 };
        let doubted = if self.doubted { DOUBTED } else { 0 };
        let refused = if self.refused { REFUSED } else { 0 };
        role | eligible | healthy | asked | doubted | refused
    }

    const fn parse(byte: u8) -> Self {
        let role = match byte & ROLE {
            0 => Role::Idle,
            1 => Role::Taking,
            2 => Role::Holding,
            _ => Role::Yielding,
        };
        Self {
            role,
            eligible: byte & ELIGIBLE != 0,
            healthy: byte & HEALTHY != 0,
            asked: byte & ASKED != 0,
            doubted: byte & DOUBTED != 0,
            refused: byte & REFUSED != 0,
        }
    }
}

/// Appends a section with as many of `states` as fit before the buffer has `limit` bytes, and
/// returns how many. Appends nothing when that is none.
pub(super) fn encode_vip_states(
    bytes: &mut Vec<u8>,
    limit: usize,
    first: u16,
    states: &[VipState],
) -> usize {
    let start = bytes.len();
    let body = start + PREFIX_LENGTH;
    let states = &states[..states.len().min(GROUPS_MAX - usize::from(first))];
    if states.is_empty() || body + FIRST_LENGTH >= limit {
        return 0;
    }
    bytes.extend_from_slice(&[VIP_STATES, 0, 0]);
    bytes.extend_from_slice(&first.to_be_bytes());
    let mut written = 0;
    while let Some(&state) = states.get(written) {
        let alike = states[written..].iter().take(RUN_MAX).take_while(|next| **next == state);
        let alike = alike.count();
        match u8::try_from(alike.saturating_sub(RUN_MIN)) {
            Ok(count) if alike >= RUN_MIN && bytes.len() + 2 <= limit => {
                bytes.extend_from_slice(&[state.encode() | MORE_FOLLOW, count]);
                written += alike;
            }
            // A run that has room for one byte alone begins with one group.
            _ if bytes.len() < limit => {
                bytes.push(state.encode());
                written += 1;
            }
            _ => break,
        }
    }
    let length = u16::try_from(bytes.len() - body).expect("a packet is shorter than 64 KiB");
    bytes[start + 1..body].copy_from_slice(&length.to_be_bytes());
    written
}

/// The states of a row of VIP groups, numbered as the sender's configuration orders them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VipStates<'p> {
    first: u16,
    count: usize,
    /// Well formed: each byte with bit 7 set has another behind it.
    states: &'p [u8],
}

impl<'p> VipStates<'p> {
    fn parse(body: &'p [u8]) -> Option<Self> {
        let (first, states) = body.split_first_chunk()?;
        let first = u16::from_be_bytes(*first);
        let (mut count, mut rest) = (0, states);
        while let Some((_, run, behind)) = next_run(rest)? {
            count += run;
            rest = behind;
        }
        let numbered = usize::from(first) + count <= GROUPS_MAX;
        numbered.then_some(Self { first, count, states })
    }

    /// The number of the first group, and the row as it was sent: two that are the same say the
    /// same.
    pub const fn raw(&self) -> (u16, &'p [u8]) {
        (self.first, self.states)
    }

    /// How many groups the row has: at most 65 536.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each group's number and state, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, VipState)> + use<'p> {
        let mut rest = self.states;
        let runs = core::iter::from_fn(move || {
            let (state, run, behind) = next_run(rest)??;
            rest = behind;
            Some(core::iter::repeat_n(state, run))
        });
        (self.first..=u16::MAX).zip(runs.flatten())
    }
}

/// A state, how many groups are in it, and what follows.
type Run<'p> = (VipState, usize, &'p [u8]);

/// The first run of `bytes`: `Some(None)` at the end, `None` when a count is missing.
#[expect(clippy::option_option, reason = "the end of a list and a broken list differ")]
fn next_run(bytes: &[u8]) -> Option<Option<Run<'_>>> {
    match bytes {
        [] => Some(None),
        [state, rest @ ..] if state & MORE_FOLLOW == 0 => {
            Some(Some((VipState::parse(*state), 1, rest)))
        }
        [state, count, rest @ ..] => {
            Some(Some((VipState::parse(*state), RUN_MIN + usize::from(*count), rest)))
        }
        [_] => None,
    }
}

/// Bit n: the sender's own address number n, in the order of its file, has a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LinkStates(pub u64);

/// Bit n: the sender does not hear node n, by the numbers of [`ConfigDigest::nodes`]. A set bit is
/// a fact about the sender's ears, not about node n.
///
/// [`ConfigDigest::nodes`]: super::ConfigDigest::nodes
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Unreachable(pub u64);

/// All sections of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'p> {
    /// What the sender does about its VIP groups.
    pub vip_states: Option<VipStates<'p>>,
    /// Which of its paths have a link.
    pub link_states: Option<LinkStates>,
    /// Whom it does not hear.
    pub unreachable: Option<Unreachable>,
    bytes: &'p [u8],
}

impl<'p> Payload<'p> {
    /// Reads all sections; `None` when a length goes beyond the end, when a section of a known
    /// kind does not parse, or when one comes twice.
    pub(super) fn parse(bytes: &'p [u8]) -> Option<Self> {
        let mut payload = Self { vip_states: None, link_states: None, unreachable: None, bytes };
        let mut rest = bytes;
        while let Some((kind, body, behind)) = next_section(rest)? {
            rest = behind;
            match kind {
                VIP_STATES => set(&mut payload.vip_states, VipStates::parse(body)?)?,
                LINK_STATES => {
                    set(&mut payload.link_states, LinkStates(bitmap(body)?))?;
                }
                UNREACHABLE => {
                    set(&mut payload.unreachable, Unreachable(bitmap(body)?))?;
                }
                _of_a_later_version => {}
            }
        }
        Some(payload)
    }

    /// Every section's kind and body, those of unknown kinds included, in the packet's order.
    pub fn sections(&self) -> impl Iterator<Item = (u8, &'p [u8])> + use<'p> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (kind, body, behind) = next_section(rest)??;
            rest = behind;
            Some((kind, body))
        })
    }
}

fn set<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

fn bitmap(body: &[u8]) -> Option<u64> {
    body.try_into().ok().map(u64::from_be_bytes)
}

/// A section's kind and body, and what follows.
type Section<'p> = (u8, &'p [u8], &'p [u8]);

/// The first section of `bytes`: `Some(None)` at the end, `None` when
/// it is cut short.
#[expect(clippy::option_option, reason = "the end of a list and a broken list differ")]
fn next_section(bytes: &[u8]) -> Option<Option<Section<'_>>> {
    let [kind, high, low, rest @ ..] = bytes else {
        return bytes.is_empty().then_some(None);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (body, behind) = rest.split_at_checked(length)?;
    Some(Some((*kind, body, behind)))
}
