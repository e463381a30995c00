//! Ethernet hardware addresses.
//!
//! Owns the address, its text form and the mapping of IPv6 multicast groups onto it (RFC 2464).
//! Never knows which interface or host an address belongs to.

use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

/// A 48-bit Ethernet address, in the order in which it is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Every station on the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// No address: the unknown target of an ARP request.
    pub const ZERO: Self = Self([0; 6]);

    /// Whether this names a group of stations (the broadcast address included) instead of one.
    pub const fn is_multicast(&self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether this is [`Mac::ZERO`].
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The group address that carries an IPv6 multicast destination: 33:33 and the last four
    /// octets of `group` (RFC 2464, section 7).
    pub const fn ipv6_multicast(group: Ipv6Addr) -> Self {
        let octets = group.octets();
        Self([0x33, 0x33, octets[12], octets[13], octets[14], octets[15]])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(f, "{separator}{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<[u8; 6]> for Mac {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

/// Why a text is not an Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacParseError {
    /// The number of groups is not six.
    Groups(usize),
    /// The group with this number, counted from one, is not two hexadecimal digits.
    Digits(usize),
    /// Both ':' and '-' separate groups.
    Mixed,
}

impl fmt::Display for MacParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Groups(found) => write!(
                f,
                "expected six groups such as 52:54:00:12:34:56, found {found} group{}",
                if *found == 1 { "" } else { "s" }
            ),
            Self::Digits(group) => {
                write!(f, "group {group} of the address is not two hexadecimal digits")
            }
            Self::Mixed => f.write_str("separate the groups with either ':' or '-', not both"),
        }
    }
}

impl core::error::Error for MacParseError {}

impl FromStr for Mac {
    type Err = MacParseError;

    /// Reads six groups of two hexadecimal digits of either case, separated by ':' or by '-'.
    fn from_str(text: &str) -> Result<Self, MacParseError> {
        if text.contains(':') && text.contains('-') {
            return Err(MacParseError::Mixed);
        }
        let groups = || text.split([':', '-']);
        let found = groups().count();
        if found != 6 {
            return Err(MacParseError::Groups(found));
        }
        let mut octets = [0; 6];
        for (index, (octet, group)) in octets.iter_mut().zip(groups()).enumerate() {
            *octet = hexadecimal_pair(group).ok_or(MacParseError::Digits(index + 1))?;
        }
        Ok(Self(octets))
    }
}

/// Exactly two digits: `u8::from_str_radix` alone would also take "+f" and "f".
fn hexadecimal_pair(group: &str) -> Option<u8> {
    let [high, low] = group.as_bytes() else { return None };
    let high = char::from(*high).to_digit(16)?;
    let low = char::from(*low).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}
