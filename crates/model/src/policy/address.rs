//! Ranges of network addresses.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// Addresses from one to another, both included: `10.1.2.3`, `10.0.0.0/8`, `10.0.0.1-10.0.0.50`, and the same with IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange {
    from: IpAddr,
    to: IpAddr,
}

/// Text that is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressRangeError {
    /// No address at all.
    #[error(
        "expected an address such as 10.1.2.3 or fd00::1, a network such as 10.0.0.0/8, or a range such as 10.0.0.1-10.0.0.50, got '{0}'"
    )]
    Form(String),
    /// Two kinds of addresses.
    #[error("expected both ends of a range to be IPv4 or both IPv6, got {0} and {1}")]
    Kinds(IpAddr, IpAddr),
    /// The end is before the start.
    #[error("expected the end of a range not before its start, got {0} to {1}: exchange them")]
    Order(IpAddr, IpAddr),
    /// A network that has no such length.
    #[error("expected a prefix of at most {most} bits for {address}, got {actual}")]
    Prefix {
        /// The network's address.
        address: IpAddr,
        /// Bits an address has.
        most: u32,
        /// Bits given.
        actual: u32,
    },
    /// An address within a network in place of the network's.
    #[error("{0}/{1} is an address within a network: write {2}/{1} for all of it, or {0} for this one")]
    Host(IpAddr, u32, IpAddr),
}

impl AddressRange {
    /// Whether an address lies within. An IPv4 address that is written as IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.from.is_ipv4() && (self.from..=self.to).contains(&address)
    }

    /// Whether it is of IPv4 addresses.
    pub(super) fn is_ipv4(&self) -> bool {
        self.from.is_ipv4()
    }

    /// Both ends in one order of all addresses.
    pub(super) fn ends(&self) -> (u128, u128) {
        (number(self.from), number(self.to))
    }
}

/// A number for each address: IPv4 as addresses that are mapped into IPv6.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<Self, AddressRangeError> {
        let form = || AddressRangeError::Form(text.chars().take(100).collect());
        let address = |text: &str| {
            text.trim().parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| form())
        };
        if let Some((from, bits)) = text.split_once('/') {
            let bits = bits.trim();
            if bits.is_empty() || !bits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(form());
            }
            return network(address(from)?, bits.parse().map_err(|_| form())?);
        }
        let (from, to) = text.split_once('-').map_or((text, text), |ends| ends);
        let (from, to) = (address(from)?, address(to)?);
        if from.is_ipv4() != to.is_ipv4() {
            return Err(AddressRangeError::Kinds(from, to));
        }
        if to < from {
            return Err(AddressRangeError::Order(from, to));
        }
        Ok(Self { from, to })
    }
}

fn network(address: IpAddr, bits: u32) -> Result<AddressRange, AddressRangeError> {
    let most = if address.is_ipv4() { 32 } else { 128 };
    if bits > most {
        return Err(AddressRangeError::Prefix { address, most, actual: bits });
    }
    let host = u128::MAX.checked_shr(128 - most + bits).unwrap_or(0);
    let first = number(address) & !host;
    let back = |number: u128| IpAddr::V6(Ipv6Addr::from_bits(number)).to_canonical();
    if first != number(address) {
        return Err(AddressRangeError::Host(address, bits, back(first)));
    }
    // Not by way of `back`: the whole of IPv6 has addresses at its end that are not mapped.
    let to = match address {
        IpAddr::V4(_) => back(first | host),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(first | host)),
    };
    Ok(AddressRange { from: address, to })
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = self.ends();
        let size = to - from;
        if size == 0 {
            return self.from.fmt(f);
        }
        let host = 128 - size.leading_zeros();
        let all = if self.from.is_ipv4() { 32 } else { 128 };
        if size == u128::MAX >> (128 - host) && from & size == 0 {
            return write!(f, "{}/{}", self.from, all - host);
        }
        write!(f, "{}-{}", self.from, self.to)
    }
}

impl TryFrom<String> for AddressRange {
    type Error = AddressRangeError;

    fn try_from(text: String) -> Result<Self, AddressRangeError> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_written() {
        for (text, written) in [
            ("10.1.2.3", "10.1.2.3"),
            (" 10.0.0.0/8 ", "10.0.0.0/8"),
            ("10.0.0.1-10.0.0.50", "10.0.0.1-10.0.0.50"),
            ("10.0.0.0 - 10.0.0.255", "10.0.0.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::1", "fd00::1"),
            ("fd00::/8", "fd00::/8"),
            ("::/0", "::/0"),
            ("fd00::1-fd00::ff", "fd00::1-fd00::ff"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
        ] {
            let range: AddressRange = text.parse().unwrap();
            assert_eq!(range.to_string(), written);
            assert_eq!(written.parse(), Ok(range));
        }
    }

    #[test]
    fn slips_are_named() {
        let wrong = |text: &str| text.parse::<AddressRange>().unwrap_err().to_string();
        assert!(wrong("10.0.0").starts_with("expected an address"));
        assert!(wrong("").starts_with("expected an address"));
        assert!(wrong("10.0.0.1/").starts_with("expected an address"));
        assert!(wrong("10.0.0.1/+8").starts_with("expected an address"));
        assert!(wrong("10.0.0.0/33").contains("at most 32 bits"));
        assert!(wrong("fd00::/129").contains("at most 128 bits"));
        assert!(wrong("10.0.0.9-10.0.0.1").contains("exchange them"));
        assert!(wrong("10.0.0.1-fd00::1").contains("both IPv6"));
        assert!(wrong("10.1.2.3/8").contains("write 10.0.0.0/8"));
    }

    #[test]
    fn addresses_lie_within_or_not() {
        let within = |range: &str, address: &str| {
            range.parse::<AddressRange>().unwrap().contains(address.parse().unwrap())
        };
        assert!(within("10.0.0.0/8", "10.255.255.255"));
        assert!(within("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(!within("10.0.0.0/8", "11.0.0.0"));
        assert!(within("10.0.0.1-10.0.0.5", "10.0.0.5"));
        assert!(!within("10.0.0.1-10.0.0.5", "10.0.0.6"));
        assert!(within("fd00::/8", "fdff::1"));
        assert!(within("::/0", "2001:db8::1"));
        assert!(!within("::/0", "10.0.0.1"));
        assert!(!within("0.0.0.0/0", "fd00::1"));
    }
}
