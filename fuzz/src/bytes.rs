//! Choices made from bytes.
//!
//! Owns nothing but the place in them. Invariant: every choice is possible with any bytes; where
//! there are none left, each is the first.

/// What is left of some bytes.
#[derive(Clone, Debug)]
pub struct Bytes<'d> {
    rest: &'d [u8],
}

impl<'d> Bytes<'d> {
    /// All of `bytes`.
    pub const fn new(bytes: &'d [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether no choice is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, or zero.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// The next eight bytes, as far as there are any.
    pub fn number(&mut self) -> u64 {
        u64::from_le_bytes([(); 8].map(|()| self.byte()))
    }

    /// A number below `count`, which is at most 256; zero for none.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()).checked_rem(count).unwrap_or(0)
    }

    /// Yes or no.
    pub fn yes(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of several.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    /// As many of the next bytes as there are, `most` at most.
    pub fn take(&mut self, most: usize) -> &'d [u8] {
        let (taken, rest) = self.rest.split_at(most.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// All that is left.
    pub fn all(&mut self) -> &'d [u8] {
        core::mem::take(&mut self.rest)
    }
}
