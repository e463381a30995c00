//! What claimants and voters say to each other: sections of heartbeats.
//!
//! Owns the layout. Numbers are big-endian. Authenticity, freshness and order are the heartbeat's.
//! Invariant: what does not parse to its last byte is dropped as a whole.
//!
//! ```text
//!  kind 8, asks     tag of the voters u64 │ tag before u64 │ stamp u64 │ length u32 µs │ asks
//!                   each: what u8 │ key u64 │ ballot: round u32, run u32          (17 bytes)
//!  kind 9, answers  each: what u8 │ key u64 │ ballot 8 │ and by what it is
//!                     0 promised  -              4 quiet     left u32 µs
//!                     1 granted   stamp u64,     5 too long  most u32 µs
//!                                 length u32 µs  6 stranger  -
//!                     2 taken     holder u64,    7 released  -
//!                                 ballot 8,
//!                                 left u32 µs
//!                     3 outbid    ballot 8
//!  kind 10, voters  tag u64 │ settled u8
//! ```

use alloc::vec::Vec;
use core::time::Duration;

use super::{Answer, Ask, Ballot, Key};

/// The kind of the section with requests.
pub const ASKS: u8 = 8;
/// The kind of the section with answers.
pub const ANSWERS: u8 = 9;
/// The kind of the section that says by which voters a node goes.
pub const VOTERS: u8 = 10;

/// Bytes in front of the requests.
pub const ASKS_HEAD: usize = 28;
/// Bytes of one request.
pub const ASK_LENGTH: usize = 17;
/// Bytes of the longest answer.
pub const ANSWER_LENGTH_MAX: usize = 37;

/// What all requests of one section share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsksHead {
    /// By which voters the asker goes, and by which it went before.
    pub tags: [u64; 2],
    /// The asker's own time, to be sent back with a grant.
    pub stamp: u64,
    /// For how long it asks.
    pub length: Duration,
}

fn micros(length: Duration) -> u32 {
    u32::try_from(length.as_micros()).unwrap_or(u32::MAX)
}

fn put_ballot(out: &mut Vec<u8>, ballot: Ballot) {
    out.extend_from_slice(&ballot.round.to_be_bytes());
    out.extend_from_slice(&ballot.run.to_be_bytes());
}

/// Begins a section of requests.
pub fn put_head(out: &mut Vec<u8>, head: &AsksHead) {
    for number in [head.tags[0], head.tags[1], head.stamp] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    out.extend_from_slice(&micros(head.length).to_be_bytes());
}

/// Adds one request.
pub fn put_ask(out: &mut Vec<u8>, key: Key, ballot: Ballot, ask: Ask) {
    out.push(match ask {
        Ask::Prepare => 0,
        Ask::Propose => 1,
        Ask::Release => 2,
    });
    out.extend_from_slice(&key.0.to_be_bytes());
    put_ballot(out, ballot);
}

/// Adds one answer.
pub fn put_answer(out: &mut Vec<u8>, key: Key, ballot: Ballot, answer: &Answer) {
    out.push(match answer {
        Answer::Promised => 0,
        Answer::Granted { .. } => 1,
        Answer::Taken { .. } => 2,
        Answer::Outbid(_) => 3,
        Answer::Quiet { .. } => 4,
        Answer::TooLong { .. } => 5,
        Answer::Stranger => 6,
        Answer::Released => 7,
    });
    out.extend_from_slice(&key.0.to_be_bytes());
    put_ballot(out, ballot);
    match *answer {
        Answer::Granted { stamp, length } => {
            out.extend_from_slice(&stamp.to_be_bytes());
            out.extend_from_slice(&micros(length).to_be_bytes());
        }
        Answer::Taken { holder, ballot, left } => {
            out.extend_from_slice(&holder.to_be_bytes());
            put_ballot(out, ballot);
            // What is left is never told as less than it is.
            out.extend_from_slice(&micros(left).saturating_add(1).to_be_bytes());
        }
        Answer::Outbid(promised) => put_ballot(out, promised),
        Answer::Quiet { left } => {
            out.extend_from_slice(&micros(left).saturating_add(1).to_be_bytes());
        }
        Answer::TooLong { most } => out.extend_from_slice(&micros(most).to_be_bytes()),
        Answer::Promised | Answer::Stranger | Answer::Released => {}
    }
}

/// The body of a section of kind [`VOTERS`].
pub fn voters_body(tag: u64, settled: bool) -> Vec<u8> {
    let mut body = Vec::from(tag.to_be_bytes());
    body.push(u8::from(settled));
    body
}

/// Reads bytes from the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn short(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn micros(&mut self) -> Option<Duration> {
        Some(Duration::from_micros(u64::from(self.short()?)))
    }

    fn ballot(&mut self) -> Option<Ballot> {
        Some(Ballot { round: self.short()?, run: self.short()? })
    }
}

/// What all requests of a section share, and each of them.
pub type Asks = (AsksHead, Vec<(Key, Ballot, Ask)>);

/// Reads a section of requests: what they share, and each. None where it is malformed.
pub fn parse_asks(body: &[u8]) -> Option<Asks> {
    let mut reader = Reader(body);
    let tags = [reader.long()?, reader.long()?];
    let head = AsksHead { tags, stamp: reader.long()?, length: reader.micros()? };
    let mut asks = Vec::with_capacity(reader.0.len() / ASK_LENGTH);
    while !reader.0.is_empty() {
        let ask = match reader.byte()? {
            0 => Ask::Prepare,
            1 => Ask::Propose,
            2 => Ask::Release,
            _ => return None,
        };
        asks.push((Key(reader.long()?), reader.ballot()?, ask));
    }
    Some((head, asks))
}

/// Reads a section of answers. None where it is malformed.
pub fn parse_answers(body: &[u8]) -> Option<Vec<(Key, Ballot, Answer)>> {
    let mut reader = Reader(body);
    let mut answers = Vec::new();
    while !reader.0.is_empty() {
        let what = reader.byte()?;
        let (key, ballot) = (Key(reader.long()?), reader.ballot()?);
        let answer = match what {
            0 => Answer::Promised,
            1 => Answer::Granted { stamp: reader.long()?, length: reader.micros()? },
            2 => Answer::Taken {
                holder: reader.long()?,
                ballot: reader.ballot()?,
                left: reader.micros()?,
            },
            3 => Answer::Outbid(reader.ballot()?),
            4 => Answer::Quiet { left: reader.micros()? },
            5 => Answer::TooLong { most: reader.micros()? },
            6 => Answer::Stranger,
            7 => Answer::Released,
            _ => return None,
        };
        answers.push((key, ballot, answer));
    }
    Some(answers)
}

/// Reads a section of kind [`VOTERS`]: the tag, and whether that node has settled on it.
pub fn parse_voters(body: &[u8]) -> Option<(u64, bool)> {
    let mut reader = Reader(body);
    Some((reader.long()?, reader.byte()? != 0))
}
