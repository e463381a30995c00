//! HOST's real addresses, from its name.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::failure::{Code, Failure, Result};

/// An address of HOST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// The address.
    pub ip: IpAddr,
    /// The interface that a `%eth0` named, by its index.
    pub scope: Option<u32>,
}

/// Asks the system's resolver for all addresses of `host`, without duplicates and in its order.
/// May take as long as the resolver does.
///
/// # Errors
/// The name is unknown, or the resolver has no answer for now.
pub fn resolve(host: &str) -> Result<Vec<Resolved>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![Resolved { ip, scope: None }]);
    }
    let found = (host, 0).to_socket_addrs().map_err(|error| {
        let text = error.to_string();
        // std does not tell the resolver's error numbers apart, its text does.
        let temporary = text.contains("Temporary failure") || text.contains("try again");
        let code = if temporary { Code::TemporaryFailure } else { Code::NoHost };
        let why = text.rsplit(": ").next().unwrap_or("no answer").to_lowercase();
        Failure::new(code, format!("unknown host '{host}': {why}"))
            .expected("a name that this system can resolve, or an address")
            .advice("give HOST's real address, or add the name to /etc/hosts")
    })?;
    let mut addresses: Vec<Resolved> = Vec::new();
    for address in found {
        let scope = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id()),
            SocketAddr::V4(_) | SocketAddr::V6(_) => None,
        };
        let resolved = Resolved { ip: address.ip(), scope };
        if !addresses.contains(&resolved) {
            addresses.push(resolved);
        }
    }
    if addresses.is_empty() {
        return Err(Failure::new(Code::NoHost, format!("'{host}' has no address"))
            .advice("give HOST's real address"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_itself() {
        let found = resolve("2001:db8::2").expect("an address");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].ip.to_string(), "2001:db8::2");
    }

    #[test]
    fn a_name_that_cannot_exist_is_unknown() {
        let failure = resolve("no-such-host.invalid").expect_err("reserved by RFC 2606");
        assert!(matches!(failure.code(), Code::NoHost | Code::TemporaryFailure));
        assert!(failure.what().starts_with("unknown host 'no-such-host.invalid'"));
    }
}
