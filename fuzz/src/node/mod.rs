//! Input sequences into the core's node, as a shell that may do anything in any order.
//!
//! Owns the play: a node, the time, and the little that the world around it remembers (requests to
//! its kernel, echoes that wait for an answer, challenges). `setting` chooses what the node is
//! told, `script` what happens to it, `judge` asserts what must be so of every action.
//! Invariant: everything follows from the bytes.

mod fellow;
mod judge;
mod script;
mod setting;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use standin_core::cluster::settings::Settings;
use standin_core::config::{CheckId, PeerId, VipId};
use standin_core::io::CheckTarget;
use standin_core::place::NodeId;
use standin_core::{Input, Instant, Node};

use crate::bytes::Bytes;
use fellow::Fellow;
use judge::Judge;

/// Choices followed: enough for a life, few enough to be quick.
const STEPS_MOST: usize = 600;
/// The longest that anything is remembered to be answered.
const WAITING_MOST: usize = 16;
/// One hour after the origin, so that there is a time before.
const BEGINNING: Instant = Instant::from_nanos(3_600_000_000_000);
/// Turns at one instant after which a node that still wants another is going round in circles.
const TURNS_MOST: usize = 8;

/// A request to the kernel that is not acknowledged yet.
#[derive(Clone, Copy, Debug)]
enum Request {
    Add(VipId),
    Remove(VipId),
    Sign,
    Quiet(VipId, bool),
    ExtendLease(usize, Instant),
    EndLease(usize),
    Fence(NodeId),
}

/// A node and what is around it.
struct Play {
    node: Node,
    now: Instant,
    settings: Option<Settings>,
    fellows: Vec<Fellow>,
    requests: VecDeque<Request>,
    echoes: VecDeque<(std::net::IpAddr, Vec<u8>)>,
    runs: VecDeque<(CheckId, CheckTarget)>,
    judge: Judge,
    fingerprint: Option<DefaultHasher>,
}

/// A node of `standin for`.
pub fn alone(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let node = setting::alone(&mut bytes, BEGINNING);
    Play::new(node, None).follow(&mut bytes);
}

/// A node of a cluster.
pub fn in_cluster(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (node, settings) = setting::in_cluster(&mut bytes, BEGINNING);
    Play::new(node, Some(settings)).follow(&mut bytes);
}

/// What a sequence amounts to, as [`alone`] or [`in_cluster`] would run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Stands for every action.
    pub fingerprint: u64,
    /// How many times the kernel confirmed an address.
    pub confirmed: u64,
}

/// Runs a sequence and says what it amounts to.
pub fn outcome(data: &[u8], cluster: bool) -> Outcome {
    let mut bytes = Bytes::new(data);
    let mut play = if cluster {
        let (node, settings) = setting::in_cluster(&mut bytes, BEGINNING);
        Play::new(node, Some(settings))
    } else {
        Play::new(setting::alone(&mut bytes, BEGINNING), None)
    };
    play.fingerprint = Some(DefaultHasher::new());
    play.follow(&mut bytes);
    Outcome {
        fingerprint: play.fingerprint.map_or(0, |hasher| hasher.finish()),
        confirmed: play.judge.confirmations(),
    }
}

impl Play {
    fn new(node: Node, settings: Option<Settings>) -> Self {
        let fellows = settings.as_ref().map(fellow::all).unwrap_or_default();
        let judge = Judge::new(&node);
        Self {
            node,
            now: BEGINNING,
            settings,
            fellows,
            requests: VecDeque::new(),
            echoes: VecDeque::new(),
            runs: VecDeque::new(),
            judge,
            fingerprint: None,
        }
    }

    fn follow(&mut self, bytes: &mut Bytes<'_>) {
        for _ in 0..STEPS_MOST {
            if bytes.is_empty() {
                self.turn();
                break;
            }
            self.take_step(bytes);
            if self.judge.is_stopped() {
                // The shell ends.
                break;
            }
        }
        let _ = (self.node.status(self.now), self.node.cluster_status());
    }

    /// One input at the present time, as the shell hands it in.
    fn hand_in(&mut self, input: Input<'_>) {
        if self.judge.is_stopped() {
            return;
        }
        let before = self.node.status(self.now);
        self.node.handle_timeout(self.now);
        let overdue = self.node.status(self.now);
        Judge::judge_claims(&before, &overdue, None);
        let kind = judge::Kind::of(&input);
        self.node.handle(self.now, input);
        let after = self.node.status(self.now);
        Judge::judge_claims(&overdue, &after, Some(kind));
        self.drain();
    }

    /// Everything that is due, and 'all is read', until nothing is due any more.
    fn turn(&mut self) {
        for _ in 0..TURNS_MOST {
            self.hand_in(Input::Idle);
            match self.node.poll_timeout() {
                Some((at, _)) if at <= self.now && !self.judge.is_stopped() => {}
                _ => return,
            }
        }
        panic!("due again and again: {:?}", self.node.poll_timeout());
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(action) = self.node.poll_action() {
            count += 1;
            self.judge.judge_action(&self.node, &action);
            if let Some(hasher) = &mut self.fingerprint {
                format!("{action:?}").hash(hasher);
            }
            self.remember(&action);
        }
        assert!(count <= judge::ACTIONS_MOST, "{count} actions for one input");
        self.judge.judge_stop(&self.node.status(self.now));
    }

    fn peers(&self) -> impl Iterator<Item = PeerId> + use<> {
        (0..self.node.config().peers().len() as u32).map(PeerId)
    }
}

/// Keeps the newest of what waits.
fn keep<T>(waiting: &mut VecDeque<T>, new: T) {
    waiting.push_back(new);
    if waiting.len() > WAITING_MOST {
        waiting.pop_front();
    }
}
