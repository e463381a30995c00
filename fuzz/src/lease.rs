//! A majority's lease, with voters and claimants between which anything may happen to what is said.
//!
//! Owns true time, the clocks that differ from it, and what is on its way. Invariant asserted: at
//! no true moment do two nodes hold one group, whatever is lost, doubled, late or out of order,
//! whoever starts again, with clock rates within 1 % of true time.

use std::time::Duration;

use standin_core::Instant;
use standin_core::lease::claim::Claim;
use standin_core::lease::electorate::{Electorate, Electorates};
use standin_core::lease::message::{self, AsksHead};
use standin_core::lease::voter::{Request, Voter};
use standin_core::lease::{Answer, Ask, Ballot, Key};
use standin_core::place::{NodeId, NodeSet};

use crate::bytes::Bytes;

/// Nodes, each of which claims and votes.
const NODES: usize = 3;
/// What is on its way at most.
const FLYING_MOST: usize = 24;
const STEPS_MOST: usize = 600;
const LENGTH: Duration = Duration::from_millis(100);
const KEY: Key = Key(7);
/// The pause of a node that was outbid.
const PAUSE: Duration = Duration::from_millis(3);

/// A clock: a beginning and a rate, in thousandths of true time.
#[derive(Clone, Copy)]
struct Clock {
    offset: u64,
    rate: u64,
}

impl Clock {
    /// What it shows at true time.
    const fn at(self, time_ns: u64) -> Instant {
        Instant::from_nanos(self.offset + time_ns / 1000 * self.rate)
    }
}

/// On its way.
#[derive(Clone, Copy)]
enum Said {
    Asked { to: usize, request: Request },
    Answered { to: usize, by: usize, ballot: Ballot, answer: Answer },
}

struct Play {
    time_ns: u64,
    clocks: [Clock; NODES],
    claims: [Claim; NODES],
    voters: [Voter; NODES],
    runs: [u32; NODES],
    rounds: [u32; NODES],
    electorates: Electorates,
    flying: Vec<Said>,
}

/// Sections as they come, and then a play.
pub fn run(data: &[u8]) {
    read(data);
    play(data);
}

/// Who has ever held it, in order.
pub fn play(data: &[u8]) -> Vec<usize> {
    let mut bytes = Bytes::new(data);
    let (mut play, mut holders) = (Play::new(&mut bytes), Vec::new());
    for _ in 0..STEPS_MOST {
        if bytes.is_empty() {
            break;
        }
        play.step(&mut bytes);
        play.judge();
        let holder = (0..NODES).find(|node| play.holds(*node));
        holders.extend(holder.filter(|holder| holders.last() != Some(holder)));
    }
    holders
}

/// What is read is what would have been written.
fn read(data: &[u8]) {
    if let Some((head, asks)) = message::parse_asks(data) {
        let mut again = Vec::new();
        message::put_head(&mut again, &head);
        for (key, ballot, ask) in &asks {
            message::put_ask(&mut again, *key, *ballot, *ask);
        }
        assert_eq!(again, data);
    }
    if let Some(answers) = message::parse_answers(data) {
        let mut again = Vec::new();
        for (key, ballot, answer) in &answers {
            message::put_answer(&mut again, *key, *ballot, answer);
        }
        // What is left is told a microsecond longer each time, so only the lengths are the same.
        assert_eq!(again.len(), data.len());
        assert_eq!(message::parse_answers(&again).map(|read| read.len()), Some(answers.len()));
    }
    let _ = message::parse_voters(data);
}

impl Play {
    fn new(bytes: &mut Bytes<'_>) -> Self {
        let clocks = [(); NODES].map(|()| Clock {
            offset: 1_000_000_000 + u64::from(bytes.byte()) * 12_345_678,
            rate: [990, 1000, 1010][bytes.below(3)],
        });
        let names = ["pinky", "brain", "larry"];
        let numbered = names.into_iter().zip((0..).map(|number| Some(NodeId(number))));
        let electorates = Electorates { present: Electorate::new(numbered), before: None };
        // A voter that has just started is quiet for a length: so are all of them at first.
        Self {
            time_ns: 0,
            clocks,
            claims: clocks.map(|clock| Claim::new(NODES, LENGTH, clock.at(0))),
            voters: clocks.map(|clock| Voter::new([KEY], LENGTH, clock.at(0))),
            runs: [1, 2, 3],
            rounds: [0; NODES],
            electorates,
            flying: Vec::new(),
        }
    }

    fn now(&self, node: usize) -> Instant {
        self.clocks[node].at(self.time_ns)
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let choice = bytes.byte();
        let node = usize::from(choice >> 4) % NODES;
        match choice & 15 {
            0 | 1 => self.time_ns += 1000 << (bytes.byte() % 18),
            2 => self.begin(node),
            3 | 4 => self.ask(node, bytes.below(NODES)),
            // A whole round that goes well.
            5 | 6 => {
                for voter in 0..NODES {
                    self.ask(node, voter);
                }
                for _ in 0..2 {
                    for said in std::mem::take(&mut self.flying) {
                        self.arrive(said);
                    }
                }
            }
            7..=9 if !self.flying.is_empty() => {
                let said = self.flying.remove(bytes.below(self.flying.len()));
                self.arrive(said);
            }
            10 if !self.flying.is_empty() => {
                self.flying.remove(bytes.below(self.flying.len()));
            }
            // The same twice.
            11 if !self.flying.is_empty() => {
                let place = bytes.below(self.flying.len());
                let said = self.flying[place];
                self.arrive(said);
            }
            12 => {
                let now = self.now(node);
                self.claims[node].give_up(now);
            }
            13 => self.retry(node),
            14 => {
                // It forgets everything: as a claimant it is another run.
                let now = self.now(node);
                self.runs[node] += NODES as u32;
                self.voters[node] = Voter::new([KEY], LENGTH, now);
                self.claims[node] = Claim::new(NODES, LENGTH, now);
            }
            _ => {
                self.claims[node].hurry(bytes.yes());
            }
        }
    }

    fn ballot(&mut self, node: usize) -> Ballot {
        self.rounds[node] += 1;
        Ballot { round: self.rounds[node], run: self.runs[node] }
    }

    fn begin(&mut self, node: usize) {
        let (now, ballot) = (self.now(node), self.ballot(node));
        self.claims[node].begin(now, ballot);
    }

    fn retry(&mut self, node: usize) {
        if self.claims[node].retries(self.now(node)) {
            let ballot = self.ballot(node);
            self.claims[node].retry(ballot);
        }
    }

    fn ask(&mut self, node: usize, voter: usize) {
        let now = self.now(node);
        let Some((ask, ballot, length)) = self.claims[node].ask(now, NodeId(voter as u16)) else {
            return;
        };
        let stamp = now.as_nanos();
        let request = Request { from: node as u64, key: KEY, ballot, ask, stamp, length };
        // Through the bytes of a section.
        let (mut body, head) = (Vec::new(), AsksHead { tags: [1, 1], stamp, length });
        message::put_head(&mut body, &head);
        message::put_ask(&mut body, KEY, ballot, ask);
        assert_eq!(message::parse_asks(&body), Some((head, vec![(KEY, ballot, ask)])));
        self.fly(Said::Asked { to: voter, request });
    }

    fn fly(&mut self, said: Said) {
        if self.flying.len() < FLYING_MOST {
            self.flying.push(said);
        }
    }

    fn arrive(&mut self, said: Said) {
        match said {
            Said::Asked { to, request } => {
                let now = self.now(to);
                let answer = self.voters[to].hear(now, &request);
                assert!(self.voters[to].grants(now).len() <= 1);
                if request.ask == Ask::Release {
                    assert_eq!(answer, Answer::Released);
                }
                let (asker, ballot) = (request.from as usize, request.ballot);
                self.fly(Said::Answered { to: asker, by: to, ballot, answer });
            }
            Said::Answered { to, by, ballot, answer } => {
                let now = self.now(to);
                let claim = &mut self.claims[to];
                let heard =
                    claim.hear(now, &self.electorates, NodeId(by as u16), (ballot, answer), PAUSE);
                let Some(higher) = heard else { return };
                self.rounds[to] = self.rounds[to].max(higher.round);
                if self.holds(to) {
                    let ballot = self.ballot(to);
                    self.claims[to].raise(ballot);
                }
            }
        }
    }

    fn holds(&self, node: usize) -> bool {
        self.claims[node].until(&self.electorates).is_some_and(|until| self.now(node) < until)
    }

    fn judge(&self) {
        let holders: Vec<usize> = (0..NODES).filter(|node| self.holds(*node)).collect();
        assert!(holders.len() <= 1, "{holders:?} hold it at {} ns", self.time_ns);
        for node in 0..NODES {
            let (claim, now) = (&self.claims[node], self.now(node));
            let granted = claim.granted_by(now);
            assert!(!self.holds(node) || self.electorates.is_majority(granted));
            assert!(claim.due(now, &self.electorates).len() <= NODES);
            let _ = claim.timeout(now, &self.electorates);
            let all = (0..NODES as u16).map(NodeId).collect::<NodeSet>();
            assert_eq!(claim.obstacle().quiet.without(all), NodeSet::EMPTY);
        }
    }
}
