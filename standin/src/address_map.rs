//! What is known of each of many addresses, where neighbours mostly have the same.
//!
//! Owns the ranges. Never knows what an address is to anybody. Invariant: no two ranges that touch
//! have the same value, so ten thousand addresses in a row that are alike are one entry.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A value for some addresses, ordered by them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressMap<V> {
    /// By the first address of a range, its last.
    ranges: BTreeMap<IpAddr, (IpAddr, V)>,
}

/// Some addresses.
pub type AddressSet = AddressMap<()>;

impl<V> Default for AddressMap<V> {
    fn default() -> Self {
        Self { ranges: BTreeMap::new() }
    }
}

impl<V: PartialEq + Clone> AddressMap<V> {
    /// Its value, if it has one.
    pub fn get(&self, address: IpAddr) -> Option<&V> {
        let (_, (last, value)) = self.ranges.range(..=address).next_back()?;
        (address <= *last).then_some(value)
    }

    /// Whether it has one.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.get(address).is_some()
    }

    /// Gives it a value; the one before.
    pub fn insert(&mut self, address: IpAddr, value: V) -> Option<V> {
        let before = self.remove(address);
        let (mut first, mut last) = (address, address);
        if let Some((below, (end, known))) = self.ranges.range(..address).next_back()
            && following(*end) == Some(address)
            && *known == value
        {
            first = *below;
        }
        if let Some(next) = following(address)
            && let Some((end, known)) = self.ranges.get(&next)
            && *known == value
        {
            last = *end;
            self.ranges.remove(&next);
        }
        self.ranges.insert(first, (last, value));
        before
    }

    /// Takes its value away.
    pub fn remove(&mut self, address: IpAddr) -> Option<V> {
        let (first, (last, _)) = self.ranges.range(..=address).next_back()?;
        let (first, last) = (*first, *last);
        if address > last {
            return None;
        }
        let (_, value) = self.ranges.remove(&first)?;
        if let Some(end) = preceding(address).filter(|end| first <= *end && first < address) {
            self.ranges.insert(first, (end, value.clone()));
        }
        if let Some(begin) = following(address).filter(|begin| *begin <= last) {
            self.ranges.insert(begin, (last, value.clone()));
        }
        Some(value)
    }

    /// Every address and its value, in the order of the addresses.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, &V)> {
        self.ranges.iter().flat_map(|(first, (last, value))| {
            let next = |address: &IpAddr| following(*address).filter(|next| next <= last);
            std::iter::successors(Some(*first), next).map(move |address| (address, value))
        })
    }

    /// Keeps those addresses only.
    pub fn retain(&mut self, keep: impl Fn(IpAddr) -> bool) {
        let gone: Vec<IpAddr> =
            self.iter().map(|(address, _)| address).filter(|address| !keep(*address)).collect();
        for address in gone {
            self.remove(address);
        }
    }

    /// The values, those of ranges that are alike more than once.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.ranges.values().map(|(_, value)| value)
    }
}

impl<V: PartialEq + Clone> FromIterator<(IpAddr, V)> for AddressMap<V> {
    fn from_iter<I: IntoIterator<Item = (IpAddr, V)>>(pairs: I) -> Self {
        let mut map = Self::default();
        for (address, value) in pairs {
            map.insert(address, value);
        }
        map
    }
}

/// The next address of the same family.
fn following(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(v4) => IpAddr::V4(v4.to_bits().checked_add(1)?.into()),
        IpAddr::V6(v6) => IpAddr::V6(v6.to_bits().checked_add(1)?.into()),
    })
}

/// The one before, of the same family.
fn preceding(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(v4) => IpAddr::V4(v4.to_bits().checked_sub(1)?.into()),
        IpAddr::V6(v6) => IpAddr::V6(v6.to_bits().checked_sub(1)?.into()),
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from(0x0a00_0000 + number).into()
    }

    #[test]
    fn ten_thousand_alike_are_one_entry_whatever_changes_them_in_turn() {
        let mut map: AddressMap<u64> = (0..10_000).map(|number| (v4(number), 1)).collect();
        assert_eq!(map.ranges.len(), 1);
        let mut most = 0;
        for number in 0..10_000 {
            assert_eq!(map.insert(v4(number), 2), Some(1));
            most = most.max(map.ranges.len());
        }
        assert_eq!((map.ranges.len(), most), (1, 2));
        assert_eq!(map.iter().count(), 10_000);
    }

    proptest! {
        #[test]
        fn it_is_a_map_like_any_other(
            steps in vec((0u32..40, option::of(0u8..3), 0u32..40), 0..400),
            end in 0u32..40,
        ) {
            let (mut map, mut known) = (AddressMap::default(), BTreeMap::new());
            for (number, value, other) in steps {
                let address = v4(number);
                let before = match value {
                    Some(value) => (map.insert(address, value), known.insert(address, value)),
                    None => (map.remove(address), known.remove(&address)),
                };
                prop_assert_eq!(before.0, before.1);
                prop_assert_eq!(map.get(v4(other)), known.get(&v4(other)));
                let touch = map.ranges.iter().zip(map.ranges.iter().skip(1)).any(
                    |((_, (end, one)), (first, (_, other)))| {
                        following(*end) == Some(*first) && one == other
                    },
                );
                prop_assert!(!touch, "{:?}", map.ranges);
            }
            let all = |known: &BTreeMap<IpAddr, u8>| known.clone().into_iter().collect::<Vec<_>>();
            let listed = |map: &AddressMap<u8>| map.iter().map(|(a, v)| (a, *v)).collect::<Vec<_>>();
            prop_assert_eq!(listed(&map), all(&known));
            map.retain(|address| address < v4(end));
            known.retain(|address, _| *address < v4(end));
            prop_assert_eq!(listed(&map), all(&known));
        }
    }

    #[test]
    fn a_family_ends_where_it_ends() {
        let ends: [IpAddr; 4] = [
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::BROADCAST.into(),
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::from(u128::MAX).into(),
        ];
        let mut set: AddressSet = ends.into_iter().map(|end| (end, ())).collect();
        assert!(set.iter().map(|(end, ())| end).eq(ends));
        for end in ends {
            assert_eq!((set.remove(end), set.contains(end)), (Some(()), false));
        }
    }
}
