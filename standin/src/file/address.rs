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
            Some((first, last)) => (read(first.trim())?, end(last.trim(), first.trim())?),
            None => read(addresses.trim()).map(|only| (only, only))?,
        };
        if first.is_ipv4() != last.is_ipv4() {
            return Err(format!("{first} and {last} are of different families"));
        }
        let Some(distance) = number(last).checked_sub(number(first)) else {
            return Err(format!("the range ends before it begins: say {last}-{first}"));
        };
        if distance >= u128::from(MOST_VIPS) {
            return Err(format!(
                "the range has more than {MOST_VIPS} addresses, all that a file may have"
            ));
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
    let what = format!("'{text}' is not an IPv4 or IPv6 address");
    Err(match meant(text) {
        Some(meant) => format!("{what}: {meant}"),
        None => format!("{what}; a name would not do, it could change"),
    })
}

/// The last address of a range, in full.
fn end(text: &str, first: &str) -> Result<IpAddr, String> {
    if text.parse::<u8>().is_ok()
        && let Some((network, _)) = first.rsplit_once('.')
    {
        return Err(format!("a range has both its ends in full: say {first}-{network}.{text}"));
    }
    read(text)
}

/// What somebody who wrote this may have meant.
fn meant(text: &str) -> Option<String> {
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return is_address(inner).then(|| format!("without brackets, {inner}"));
    }
    if let Some((first, last)) = text.split_once("..").filter(|(first, _)| is_address(first)) {
        return Some(format!("a range is written {first}-{}", last.trim_start_matches('.')));
    }
    let parts: Vec<&str> = text.split([',', ';', ' ']).filter(|part| !part.is_empty()).collect();
    if parts.len() > 1 && parts.iter().all(|part| is_address(part)) {
        return Some(format!("several are a list, [\"{}\"]", parts.join("\", \"")));
    }
    if let Some((alone, _)) = text.split_once(':').filter(|(alone, _)| is_address(alone)) {
        return Some(format!("{alone} without a port"));
    }
    let octets: Vec<&str> = text.split('.').collect();
    let is_padded = octets.iter().any(|octet| octet.len() > 1 && octet.starts_with('0'));
    (octets.len() == 4 && is_padded && octets.iter().all(|octet| octet.parse::<u8>().is_ok()))
        .then(|| "a zero in front would mean octal to some".into())
}

fn prefix_length(text: &str, address: IpAddr) -> Result<u8, String> {
    let most = if address.is_ipv4() { 32 } else { 128 };
    if let Ok(prefix) = text.parse()
        && (1..=most).contains(&prefix)
    {
        return Ok(prefix);
    }
    let why = format!("'/{text}' is not a prefix length: 1 to {most}");
    if text.contains('-') {
        return Err(format!("{why}, once and behind the range: FIRST-LAST/24"));
    }
    let mask = text.parse::<Ipv4Addr>().map(u32::from).unwrap_or_default();
    let is_mask = mask != 0 && mask.leading_ones() + mask.trailing_zeros() == 32;
    Err(if is_mask { format!("{why}; that mask is /{}", mask.leading_ones()) } else { why })
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
            ("10.0.0.10/24-10.0.0.20/24", "behind the range: FIRST-LAST/24"),
            ("10.0.0.10-20", "say 10.0.0.10-10.0.0.20"),
            ("10.0.0.10..10.0.0.20", "written 10.0.0.10-10.0.0.20"),
            ("10.0.0.10...10.0.0.20", "written 10.0.0.10-10.0.0.20"),
            ("10.0.0.9, 10.0.0.10", "a list, [\"10.0.0.9\", \"10.0.0.10\"]"),
            ("10.0.0.9:80", "10.0.0.9 without a port"),
            ("[fd00::9]", "without brackets, fd00::9"),
            ("10.0.0.09", "octal"),
            ("10.0.0.9/255.255.255.0", "that mask is /24"),
            ("10.0.0.9/255.0.255.0", "1 to 32"),
            ("10.0.0.9/0.0.0.0", "1 to 32"),
            ("fd00::1-5", "a name would not do"),
        ] {
            let error = WrittenRange::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
