//! What the story has learnt so far: who answers where, what the router believes, what the logs
//! said.
//!
//! Owns the client's samples. Judges nothing. All times count from the story's beginning, which
//! [`Known::begin`] sets.

use std::time::{Duration, Instant};

use standin_core::wire::Mac;

use super::news::LogLine;
use super::plan::{Host, PATIENCE, Plan};
use super::summary::Sample;

/// Who answers at one address, as the client sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    /// The latest answer: when, and whose.
    pub last: Option<(Duration, Host)>,
    /// Answers by that host without a loss or another's between.
    pub steady: u32,
}

/// Another host answers now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The address, by its home.
    pub home: Host,
    /// Who answers.
    pub by: Host,
    /// The time since the answer before.
    pub after: Duration,
}

/// What is known.
pub struct Known {
    began: Instant,
    /// Every request since the beginning, in the order in which they ended.
    pub samples: Vec<Sample>,
    /// By the address's home.
    pub answers: [Answers; 2],
    /// The router's cache, by the address's home.
    pub cache: [Option<Mac>; 2],
    /// Which hosts' logs have said that the other is alive.
    pub sees_other: [bool; 2],
    /// Pinky's verdict that brain is dead.
    pub verdict: Option<Duration>,
    /// From pinky's decision to take over to its announcement on the wire, by its own log.
    pub decided_to_announced: Option<Duration>,
}

impl Known {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            samples: vec![],
            answers: [Answers::default(); 2],
            cache: [None; 2],
            sees_other: [false; 2],
            verdict: None,
            decided_to_announced: None,
        }
    }

    /// The story begins now; the requests so far were a rehearsal.
    pub fn begin(&mut self) {
        self.began = Instant::now();
        self.samples.clear();
        for answers in &mut self.answers {
            answers.last = answers.last.map(|(_, by)| (Duration::ZERO, by));
        }
    }

    /// The time since the beginning.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Learns how a request ended.
    pub fn learn_request(
        &mut self,
        home: Host,
        sent: Instant,
        done: Instant,
        by: Option<Host>,
    ) -> Option<Change> {
        let sent = sent.checked_duration_since(self.began)?;
        let done = done.saturating_duration_since(self.began);
        self.samples.push(Sample { home, sent, done, by });
        let answers = &mut self.answers[home.index()];
        let Some(by) = by else {
            // A loss is known late: it breaks the row only if nothing was answered after it.
            if answers.last.is_none_or(|(at, _)| at < sent) {
                answers.steady = 0;
            }
            return None;
        };
        let before = answers.last.replace((done, by));
        let same = before.is_some_and(|(_, host)| host == by);
        answers.steady = if same { answers.steady + 1 } else { 1 };
        let (at, _) = before?;
        (!same).then(|| Change { home, by, after: done.saturating_sub(at) })
    }

    /// Learns what a host's log says.
    pub fn learn_log(&mut self, plan: &Plan, host: Host, at: Instant, line: &LogLine) {
        let at = at.saturating_duration_since(self.began);
        match line.event.as_str() {
            "peer-alive" => self.sees_other[host.index()] = true,
            "peer-dead" if host == Host::Pinky => {
                self.verdict.get_or_insert(at);
            }
            "claimed" if host == Host::Pinky && line.vip() == Some(plan.public(Host::Brain)) => {
                let micros = line.fields.get("decided-to-announced-us");
                let micros = micros.and_then(serde_json::Value::as_u64);
                self.decided_to_announced = micros.map(Duration::from_micros);
            }
            _ => {}
        }
    }

    /// Whether that host answers steadily at an address.
    pub fn is_steady(&self, home: Host, by: Host) -> bool {
        const ENOUGH: u32 = 20;
        let answers = &self.answers[home.index()];
        answers.steady >= ENOUGH && answers.last.is_some_and(|(_, host)| host == by)
    }

    /// For how long an address has gone without an answer, when that is remarkable.
    pub fn silence(&self, home: Host, now: Duration) -> Option<Duration> {
        let (at, _) = self.answers[home.index()].last?;
        Some(now.saturating_sub(at)).filter(|&silence| silence > PATIENCE / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_answering_host_is_noticed_once() {
        let mut known = Known::new();
        let start = known.began;
        let at = |ms| start + Duration::from_millis(ms);
        for ms in 1..=20 {
            assert_eq!(known.learn_request(Host::Brain, at(ms), at(ms), Some(Host::Brain)), None);
        }
        assert!(known.is_steady(Host::Brain, Host::Brain));
        assert!(!known.is_steady(Host::Pinky, Host::Pinky));
        assert_eq!(known.learn_request(Host::Brain, at(30), at(230), None), None);
        assert!(!known.is_steady(Host::Brain, Host::Brain));
        assert_eq!(
            known.learn_request(Host::Brain, at(120), at(120), Some(Host::Pinky)),
            Some(Change { home: Host::Brain, by: Host::Pinky, after: Duration::from_millis(100) })
        );
        // The loss of a request from before that answer.
        known.learn_request(Host::Brain, at(119), at(319), None);
        for ms in 121..=140 {
            assert_eq!(known.learn_request(Host::Brain, at(ms), at(ms), Some(Host::Pinky)), None);
        }
        assert!(known.is_steady(Host::Brain, Host::Pinky));
        assert_eq!(known.silence(Host::Brain, Duration::from_millis(150)), None);
        let silence = known.silence(Host::Brain, Duration::from_millis(240));
        assert_eq!(silence, Some(Duration::from_millis(100)));
    }

    #[test]
    fn what_was_before_the_beginning_does_not_count() {
        let mut known = Known::new();
        let before = known.began;
        known.learn_request(Host::Brain, before, before, None);
        std::thread::sleep(Duration::from_millis(1));
        known.begin();
        assert!(known.samples.is_empty());
        assert_eq!(known.learn_request(Host::Brain, before, before, Some(Host::Brain)), None);
        assert!(known.samples.is_empty());
    }
}
