//! Damage without a fuzzer: what the ordinary tests do to the corpus on any machine.
//!
//! Owns the ways in which bytes are damaged. Invariant: the same number gives the same damage.

/// A small generator, so that a failure can be repeated (xorshift64*, Vigna 2016).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`; zero is taken as one.
    pub const fn new(seed: u64) -> Self {
        Self(if seed == 0 { 1 } else { seed })
    }

    /// A number below `bound`; zero for a bound of zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize)
            .checked_rem(bound)
            .unwrap_or(0)
    }
}

/// Bytes on which lengths, counts and states turn.
const TURNING: [u8; 10] = [0, 1, 2, 3, 4, 0x7f, 0x80, 0xfe, 0xff, b'\n'];

/// Damages `bytes` in one to five places, sometimes with a piece of `other`.
pub fn damage(bytes: &[u8], other: &[u8], longest: usize, random: &mut Random) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..=random.below(5) {
        let at = random.below(damaged.len() + 1);
        let to = (at + random.below(9)).min(damaged.len());
        match random.below(8) {
            0 => drop(damaged.drain(at..to)),
            1 => drop(damaged.splice(at..at, [TURNING[random.below(TURNING.len())]])),
            2 => {
                let copied = damaged[at..to].to_vec();
                let place = random.below(damaged.len() + 1);
                drop(damaged.splice(place..place, copied));
            }
            3 => {
                let from = random.below(other.len() + 1);
                let until = (from + random.below(32)).min(other.len());
                drop(damaged.splice(at..to, other[from..until].iter().copied()));
            }
            4 => damaged.truncate(at.max(damaged.len() / 2)),
            5 if at < damaged.len() => damaged[at] ^= 1 << random.below(8),
            6 if at < damaged.len() => damaged[at] = random.below(256) as u8,
            _ if at < damaged.len() => damaged[at] = TURNING[random.below(TURNING.len())],
            _ => damaged.push(random.below(256) as u8),
        }
    }
    damaged.truncate(longest);
    damaged
}
