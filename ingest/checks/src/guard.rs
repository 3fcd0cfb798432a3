//! Addresses that no check may reach unless the configuration allows it: link-local ones, and those at which clouds hand out
//! the credentials of their machines. Whoever may add a check could otherwise read them in its output.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Amazon over IPv6, and Alibaba, whose addresses are not link-local.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// An address, or a range of them such as `169.254.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let (own, other, width) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (u128::from(u32::from(own)), u128::from(u32::from(other)), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (u128::from(own), u128::from(other), 128),
            _ => return false,
        };
        let below = u32::from(width - self.bits);
        own.checked_shr(below).unwrap_or(0) == other.checked_shr(below).unwrap_or(0)
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            let shown: String = text.chars().take(80).collect();
            format!("{shown:?} is not an address: write 169.254.10.1, 169.254.0.0/16 or fe80::/10")
        };
        let (address, bits) =
            text.split_once('/').map_or((text.as_str(), None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).ok().filter(|bits| *bits <= most).ok_or_else(wrong)?;
        Ok(Self { address, bits })
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Says which addresses checks may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    allowed: Vec<Network>,
}

impl Guard {
    #[must_use]
    pub fn new(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }

    /// Those of the addresses of `host` that may be reached.
    ///
    /// # Errors
    /// When none may.
    pub(crate) fn pass(&self, host: &str, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
        let refused = addresses.iter().find(|at| !self.allows(at.ip())).map(SocketAddr::ip);
        let open: Vec<SocketAddr> = addresses.into_iter().filter(|at| self.allows(at.ip())).collect();
        match refused {
            Some(address) if open.is_empty() => Err(format!(
                "{host} is at {address}, which checks do not reach: it is link-local or hands out credentials; if it is meant, name it in allow_addresses of [checks]"
            )),
            _ => Ok(open),
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        let address = inner(address);
        let guarded = match address {
            IpAddr::V4(v4) => v4.is_link_local() || v4 == METADATA_V4,
            IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6,
        };
        !guarded || self.allowed.iter().any(|network| network.holds(address))
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, or behind NAT64 (RFC 6052).
fn inner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let bits = u32::from(high) << 16 | u32::from(low);
                IpAddr::V4(Ipv4Addr::from(bits))
            }
            _ => IpAddr::V6(v6),
        },
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allowed: &[&str]) -> Guard {
        Guard::new(allowed.iter().map(|text| Network::try_from((*text).to_owned()).unwrap()).collect())
    }

    fn allows(guard: &Guard, address: &str) -> bool {
        guard.allows(address.parse().unwrap())
    }

    #[test]
    fn link_local_and_metadata_addresses_are_refused_in_every_notation() {
        let guard = guard(&[]);
        for bad in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
            "100.100.100.200",
        ] {
            assert!(!allows(&guard, bad), "{bad}");
        }
        for good in ["127.0.0.1", "10.0.0.1", "192.0.2.7", "169.253.0.1", "::1", "2001:db8::7", "fec0::1"] {
            assert!(allows(&guard, good), "{good}");
        }
    }

    #[test]
    fn what_the_configuration_names_may_be_reached_and_nothing_beside_it() {
        let guard = guard(&["169.254.10.0/24", "fe80::/10"]);
        assert!(allows(&guard, "169.254.10.9") && allows(&guard, "::ffff:169.254.10.9") && allows(&guard, "fe80::9"));
        assert!(!allows(&guard, "169.254.169.254") && !allows(&guard, "fd00:ec2::254"));
        assert!(Network::try_from("0.0.0.0/0".to_owned()).unwrap().holds("169.254.1.1".parse().unwrap()));
        for bad in ["", "169.254.0.0/33", "fe80::/129", "host", "10.0.0.0/x"] {
            assert!(Network::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn of_several_addresses_those_that_may_be_reached_are_left() {
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 80);
        let (bad, good) = (at("169.254.169.254"), at("192.0.2.7"));
        assert_eq!(guard(&[]).pass("h", vec![bad, good]), Ok(vec![good]));
        let error = guard(&[]).pass("metadata.internal", vec![bad]).unwrap_err();
        assert!(
            error.contains("metadata.internal is at 169.254.169.254") && error.contains("allow_addresses"),
            "{error}"
        );
    }
}
