//! One address, or a range of them, as a `[[vip]]` names it: `10.0.0.9`, `10.0.0.9/24`,
//! `10.0.0.10-10.0.0.40`, `fd00::10-fd00::1f/64`.
//!
//! A range is kept as its two ends: it is never written out in memory.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::cli::options::unusable;

/// The most VIPs that a file may have.
pub const MOST_VIPS: u32 = 10_000;

/// Addresses of one family from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    count: u32,
    /// The prefix length that each is installed with.
    pub prefix: u8,
}

/// A range as it was written, its prefix length perhaps left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenRange {
    first: IpAddr,
    count: u32,
    /// What stood behind the `/`.
    pub prefix: Option<u8>,
}

impl WrittenRange {
    /// Reads an address or a range.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (addresses, prefix) = match text.split_once('/') {
            Some((addresses, prefix)) => (addresses, Some(prefix)),
            None => (text, None),
        };
        let (first, last) = match addresses.split_once('-') {
            Some((first, last)) => (read(first.trim())?, read(last.trim())?),
            None => read(addresses.trim()).map(|only| (only, only))?,
        };
        if first.is_ipv4() != last.is_ipv4() {
            return Err(format!("{first} and {last} are of different families"));
        }
        let Some(distance) = number(last).checked_sub(number(first)) else {
            return Err(format!("the range ends before it begins: say {last}-{first}"));
        };
        if distance >= u128::from(MOST_VIPS) {
            return Err(format!("the range has more than {MOST_VIPS} addresses"));
        }
        let prefix = prefix.map(|prefix| prefix_length(prefix.trim(), first)).transpose()?;
        Ok(Self { first, count: distance as u32 + 1, prefix })
    }

    /// The first address.
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// With the prefix length it is to have.
    ///
    /// # Errors
    /// A sentence: the range holds an address that no host can have in that subnet.
    pub fn with_prefix(self, prefix: u8) -> Result<AddressRange, String> {
        let range = AddressRange { first: self.first, count: self.count, prefix };
        if let Some((end, kind)) = range.subnet_end() {
            return Err(format!("{end} is the {kind} of its /{prefix}: no host can have it"));
        }
        Ok(range)
    }
}

impl AddressRange {
    /// The first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        self.nth(self.count - 1)
    }

    /// How many there are; at least one.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4()
            && number(address)
                .checked_sub(number(self.first))
                .is_some_and(|distance| distance < u128::from(self.count))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let range = *self;
        (0..range.count).map(move |place| range.nth(place))
    }

    fn nth(&self, place: u32) -> IpAddr {
        match self.first {
            IpAddr::V4(first) => Ipv4Addr::from(u32::from(first) + place).into(),
            IpAddr::V6(first) => Ipv6Addr::from(u128::from(first) + u128::from(place)).into(),
        }
    }

    /// The network or broadcast address of the range's own subnets, if it is in the range. A /31
    /// and a /32 have none (RFC 3021); the first of an IPv6 subnet is the routers' anycast address
    /// (RFC 4291, section 2.6.1), except in a /127 (RFC 6164) and a /128.
    fn subnet_end(&self) -> Option<(IpAddr, &'static str)> {
        let width = if self.first.is_ipv4() { 32 } else { 128 };
        let host_bits = width - u32::from(self.prefix);
        if host_bits < 2 {
            return None;
        }
        let mask = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
        let (first, last) = (number(self.first), number(self.last()));
        let network = if first & mask == 0 { Some(first) } else { (first | mask).checked_add(1) };
        if let Some(network) = network.filter(|network| *network <= last) {
            let kind = if width == 32 { "network address" } else { "routers' anycast address" };
            return Some((self.nth((network - first) as u32), kind));
        }
        let broadcast = first | mask;
        (width == 32 && broadcast <= last)
            .then(|| (self.nth((broadcast - first) as u32), "broadcast address"))
    }

    /// The ends as numbers, ordered within a family.
    pub(super) fn bounds(&self) -> (bool, u128, u128) {
        (self.first.is_ipv6(), number(self.first), number(self.last()))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.first)?;
        if self.count > 1 { write!(out, "-{}", self.last()) } else { Ok(()) }
    }
}

/// Reads an address that one host can have.
///
/// # Errors
/// A sentence on what is wrong.
pub fn read(text: &str) -> Result<IpAddr, String> {
    if let Ok(address) = text.parse() {
        return match unusable(address) {
            Some(kind) => Err(format!("{address} is {kind}")),
            None => Ok(address),
        };
    }
    if let Some((address, interface)) = text.split_once('%')
        && address.parse::<IpAddr>().is_ok()
    {
        return Err(format!("say {address}, and interface = \"{interface}\" beside it"));
    }
    if text.is_empty() {
        return Err("an address is missing".into());
    }
    Err(format!("'{text}' is not an IPv4 or IPv6 address; a name would not do, it could change"))
}

fn prefix_length(text: &str, address: IpAddr) -> Result<u8, String> {
    let most = if address.is_ipv4() { 32 } else { 128 };
    match text.parse() {
        Ok(prefix) if (1..=most).contains(&prefix) => Ok(prefix),
        _ => Err(format!("'/{text}' is not a prefix length: 1 to {most}")),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str, prefix: u8) -> AddressRange {
        WrittenRange::parse(text).expect(text).with_prefix(prefix).expect(text)
    }

    #[test]
    fn a_range_has_its_ends_and_what_is_between() {
        let pool = range("10.0.0.254-10.0.1.1", 32);
        let all: Vec<String> = pool.iter().map(|address| address.to_string()).collect();
        assert_eq!(all, ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"]);
        assert_eq!((pool.count(), pool.to_string()), (4, "10.0.0.254-10.0.1.1".into()));
        assert!(pool.contains("10.0.1.0".parse().expect("an address")));
        assert!(!pool.contains("10.0.1.2".parse().expect("an address")));
        assert!(!pool.contains("::a00:100".parse().expect("an address")));
        let last = range("fdff::ffff-fdff::1:1", 128);
        assert_eq!((last.count(), last.last().to_string()), (3, "fdff::1:1".into()));
    }

    #[test]
    fn the_ends_of_a_subnet_belong_to_no_host() {
        let refused = |text: &str| {
            let written = WrittenRange::parse(text).expect(text);
            written.with_prefix(written.prefix.expect("a prefix")).expect_err(text)
        };
        assert!(refused("10.0.0.0/24").contains("10.0.0.0 is the network address of its /24"));
        assert!(refused("10.0.0.255/24").contains("broadcast address"));
        assert!(refused("10.0.0.250-10.0.1.3/24").contains("10.0.1.0 is the network address"));
        assert!(refused("fd00::/64").contains("anycast"));
        assert_eq!(range("10.0.0.0-10.0.0.1/31", 31).count(), 2);
        assert_eq!(range("10.0.0.255", 32).count(), 1);
        assert_eq!(range("fd00::", 127).count(), 1);
        assert_eq!(range("10.0.0.9", 1).count(), 1);
    }

    #[test]
    fn wrong_ranges_are_refused_with_a_reason() {
        for (text, reason) in [
            ("", "an address is missing"),
            ("web", "a name would not do"),
            ("10.0.0.9-", "an address is missing"),
            ("10.0.0.40-10.0.0.10", "say 10.0.0.10-10.0.0.40"),
            ("10.0.0.1-fd00::1", "different families"),
            ("10.0.0.1-10.1.0.0", "more than 10000 addresses"),
            ("fd00::1-fdff::1", "more than 10000 addresses"),
            ("10.0.0.9/33", "1 to 32"),
            ("fd00::9/129", "1 to 128"),
            ("10.0.0.9/", "1 to 32"),
            ("fe80::9%eth0", "interface = \"eth0\""),
            ("127.0.0.1", "a loopback address"),
            ("0.0.0.0", "the unspecified address"),
            ("224.0.0.1-224.0.0.9", "a multicast address"),
            ("10.0.0.10/24-10.0.0.20/24", "not a prefix length"),
        ] {
            let error = WrittenRange::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
