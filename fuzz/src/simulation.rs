//! Whole worlds: the bytes choose the scenario, what is done to it and when, as the simulator's
//! generator would from a seed; its own checks say what must never be so.
//!
//! Owns nothing: a seed's numbers are replaced by those of the bytes while there are any.

use standin_sim::random::Random;
use standin_sim::run::run_with;

/// A world of the bytes' choosing, to its verdict.
pub fn run(data: &[u8]) {
    let verdict = run_with(0, Random::following(data), false);
    assert_eq!(verdict.broken, None);
}
