//! The one source of chance in a world: a seeded generator (`SplitMix64`; Steele, Lea, Flood 2014).
//!
//! Owns the sequence. Invariant: the same seed gives the same numbers, on every machine.

use std::collections::VecDeque;
use std::time::Duration;

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    /// Bytes whose choices come first.
    first: VecDeque<u8>,
}

impl Random {
    /// The sequence of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed, first: VecDeque::new() }
    }

    /// Numbers that are these bytes as long as there are any, one for each, and then a sequence:
    /// so that whoever changes a byte changes one choice.
    pub fn following(bytes: &[u8]) -> Self {
        Self { state: 0, first: bytes.iter().copied().collect() }
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = match self.first.pop_front() {
            // Spread over all bits: a length is drawn from a wide range.
            Some(byte) => u64::from(byte).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            None => self.state,
        };
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; zero for a limit of zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw().checked_rem(limit).unwrap_or(0)
    }

    /// A place in a list of so many.
    pub fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// Whether something that happens in so many of a hundred cases happens.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// A length from `least` up to, not including, `most`.
    pub fn length(&mut self, least: Duration, most: Duration) -> Duration {
        let spread = u64::try_from(most.saturating_sub(least).as_nanos()).unwrap_or(u64::MAX);
        least + Duration::from_nanos(self.below(spread))
    }

    /// One of several.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.index(among.len())]
    }

    /// 32 bytes that stand for a secret.
    pub fn secret(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.draw().to_le_bytes());
        }
        bytes
    }
}
