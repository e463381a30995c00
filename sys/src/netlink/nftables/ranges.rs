//! Sets of IPv4 ranges: ten thousand addresses in a row are two elements.
//!
//! Owns their encoding, and how addresses become ranges. Invariant: ranges made here are in order
//! and neither touch nor overlap.

use std::net::Ipv4Addr;

use super::rule::LIST_ELEMENT;
use super::set::Key;
use super::transaction::{
    ELEMENT_KEY, ELEMENTS, ELEMENTS_PER_MESSAGE, NEW_ELEMENTS, Table, Transaction,
};

/// `NFTA_SET_ELEM_FLAGS` and its `NFT_SET_ELEM_INTERVAL_END`.
const ELEMENT_FLAGS: u16 = 3;
const INTERVAL_END: u32 = 1;

/// Addresses from a first to a last.
pub type Range = (Ipv4Addr, Ipv4Addr);

/// The fewest ranges that are these addresses and no others.
pub fn ranges_of(addresses: impl IntoIterator<Item = Ipv4Addr>) -> Vec<Range> {
    let mut numbers: Vec<u32> = addresses.into_iter().map(u32::from).collect();
    numbers.sort_unstable();
    let mut ranges: Vec<(u32, u32)> = vec![];
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if number <= last.saturating_add(1) => *last = number,
            Some(_) | None => ranges.push((number, number)),
        }
    }
    ranges.into_iter().map(|(first, last)| (first.into(), last.into())).collect()
}

impl Transaction {
    /// Adds ranges to a set of IPv4 ranges. They must neither touch nor overlap.
    pub fn add_ranges(&mut self, table: Table<'_>, set: &str, ranges: &[Range]) -> &mut Self {
        for some in ranges.chunks(ELEMENTS_PER_MESSAGE / 2) {
            let name = format!("set {set} of {table}");
            self.push("add", name, NEW_ELEMENTS, libc::NLM_F_CREATE, table, |payload| {
                // NFTA_SET_ELEM_LIST_TABLE, _SET.
                payload.attribute_text(1, table.name).attribute_text(2, set);
                payload.nest(ELEMENTS, |list| {
                    for &(first, last) in some {
                        list.nest(LIST_ELEMENT, |element| {
                            element.nest(ELEMENT_KEY, |value| Key::Ip(first.into()).encode(value));
                        });
                        // The end is the first that is not in it; the very last address has none.
                        let Some(end) = u32::from(last).checked_add(1) else { continue };
                        list.nest(LIST_ELEMENT, |element| {
                            let end = Key::Ip(Ipv4Addr::from(end).into());
                            element
                                .nest(ELEMENT_KEY, |value| end.encode(value))
                                .attribute_be32(ELEMENT_FLAGS, INTERVAL_END);
                        });
                    }
                });
            });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_the_fewest_ranges() {
        let ip = |last: u8| Ipv4Addr::new(10, 0, 0, last);
        let found = ranges_of([ip(9), ip(2), ip(1), ip(3), ip(2), ip(255), Ipv4Addr::BROADCAST]);
        let last = Ipv4Addr::BROADCAST;
        assert_eq!(found, [(ip(1), ip(3)), (ip(9), ip(9)), (ip(255), ip(255)), (last, last)]);
        assert_eq!(ranges_of([]), []);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_range_to_the_byte() {
        let table = Table { family: super::super::Family::Ip, name: "t" };
        let mut transaction = Transaction::new(0);
        let (first, last) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 3));
        let end = Ipv4Addr::BROADCAST;
        transaction.add_ranges(table, "r", &[(first, last), (end, end)]);
        #[rustfmt::skip]
        let expected = [
            92, 0, 0, 0,  12, 10,  5, 4,  1, 0, 0, 0,  0, 0, 0, 0,   2, 0, 0, 0,
                6, 0, 1, 0,  b't', 0,  0, 0,
                6, 0, 2, 0,  b'r', 0,  0, 0,
                56, 0, 3, 0x80,
                    16, 0, 1, 0x80,
                        12, 0, 1, 0x80,  8, 0, 1, 0,  10, 0, 0, 1,
                    24, 0, 1, 0x80,
                        12, 0, 1, 0x80,  8, 0, 1, 0,  10, 0, 0, 4,
                        8, 0, 3, 0,  0, 0, 0, 1,
                    // The very last address has no end.
                    16, 0, 1, 0x80,
                        12, 0, 1, 0x80,  8, 0, 1, 0,  255, 255, 255, 255,
        ];
        let mut expected = expected.to_vec();
        expected[0] = u8::try_from(expected.len()).unwrap();
        expected[36] = expected[0] - 36;
        assert_eq!(transaction.finish(false)[20..], expected);
    }
}
