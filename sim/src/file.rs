//! A host's configuration file, as far as it changes while a world runs, and its key file.
//!
//! Owns the steps of a key's rotation and who votes. Never decides whether a file may be taken over:
//! the core does. Invariant: a file follows from its numbers alone.

use std::time::Duration;

use standin_core::heartbeat::{Key, KeyRing};

const OLD: &[u8] = b"narf narf narf narf narf narf";
const NEW: &[u8] = b"zort zort zort zort zort zort";
const WRONG: &[u8] = b"poit poit poit poit poit poit";

/// The key files of a rotation, step by step, and one that belongs to nobody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// The old key.
    #[default]
    Old,
    /// Sends with the old, believes both.
    Learnt,
    /// Sends with the new, believes both.
    Switched,
    /// The new key.
    New,
    /// Another.
    Wrong,
}

/// What stands in the files of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Its keys.
    pub keys: Keys,
    /// So many of the witnesses vote.
    pub voters: usize,
    /// Heartbeats come more often.
    pub brisk: bool,
}

/// What is changed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The keys.
    Keys(Keys),
    /// How many of the witnesses vote.
    Voters(usize),
    /// How often heartbeats come.
    Brisk(bool),
}

impl File {
    /// The file with a change.
    #[must_use]
    pub fn with(self, edit: Edit) -> Self {
        match edit {
            Edit::Keys(keys) => Self { keys, ..self },
            Edit::Voters(voters) => Self { voters, ..self },
            Edit::Brisk(brisk) => Self { brisk, ..self },
        }
    }

    /// From one heartbeat to the next, where the scenario says `interval`.
    pub fn interval(self, interval: Duration) -> Duration {
        if self.brisk { interval * 3 / 4 } else { interval }
    }
}

impl Keys {
    /// What it sends with, and what it believes besides.
    fn parts(self) -> (&'static [u8], Option<&'static [u8]>) {
        match self {
            Self::Old => (OLD, None),
            Self::Learnt => (OLD, Some(NEW)),
            Self::Switched => (NEW, Some(OLD)),
            Self::New => (NEW, None),
            Self::Wrong => (WRONG, None),
        }
    }

    /// The keys for the core.
    ///
    /// # Panics
    /// Never: the keys are long enough and differ.
    pub fn ring(self, cluster: &str) -> KeyRing {
        let derive = |file| Key::derive(file, cluster).expect("a long key");
        match self.parts() {
            (current, None) => KeyRing::new(derive(current)),
            (current, Some(accepted)) => {
                KeyRing::rotating(derive(current), derive(accepted)).expect("they differ")
            }
        }
    }

    /// Whether each believes what the other sends.
    pub fn agrees(self, other: Self) -> bool {
        let believes = |one: Self, sent| {
            let (current, accepted) = one.parts();
            current == sent || accepted == Some(sent)
        };
        believes(self, other.parts().0) && believes(other, self.parts().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_of_a_rotation_agrees_with_the_next() {
        let steps = [Keys::Old, Keys::Learnt, Keys::Switched, Keys::New];
        for pair in steps.windows(2) {
            assert!(pair[0].agrees(pair[1]), "{pair:?}");
        }
        assert!(!Keys::Old.agrees(Keys::Switched));
        assert!(steps.iter().all(|step| !step.agrees(Keys::Wrong)));
    }
}
