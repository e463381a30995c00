//! The part of a URL that a check needs: `http(s)://[user:password@]host[:port][/path][?query]`.
//!
//! The host may be `{vip}`, which stands for every VIP. A password never leaves this room except
//! as the `Authorization` header; [`Url`]'s text form has `***` in its place.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::uri::PathAndQuery;

/// Whom a URL or a `tcp:` target names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `{vip}`, or nothing in `tcp:PORT`: whichever VIP is being checked.
    Vip,
    /// A literal address, which has to be one of the VIPs.
    Address(IpAddr),
    /// A name, kept as virtual host and for TLS; never looked up.
    Name(String),
}

/// A parsed URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// HTTPS rather than HTTP.
    pub tls: bool,
    /// Whom it names.
    pub host: Host,
    /// The TCP port, by default that of the scheme.
    pub port: u16,
    /// What is requested.
    pub path: PathAndQuery,
    /// `user:password` as given.
    credentials: Option<String>,
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// A sentence on the part that is wrong. It does not repeat the credentials.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) =
            text.split_once("://").ok_or("a URL begins with http:// or https://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other => return Err(format!("'{other}://' cannot be asked, only http and https")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(unescape(credentials)?), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place).map_err(|why| {
            // What looks like the host may be the start of a password: it is not repeated.
            if tail.contains('@') {
                "a '/', '?' or '#' in the user or password is written %2F, %3F or %23".into()
            } else {
                why
            }
        })?;
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        let tail = tail.split('#').next().unwrap_or_default();
        let path = if tail.starts_with('/') { tail.into() } else { format!("/{tail}") };
        let path = PathAndQuery::from_str(&path)
            .map_err(|_| format!("'{path}' is not a path: escape spaces and the like as %20"))?;
        Ok(Self { tls, host, port, path, credentials })
    }

    /// The `Host` header of a request about `vip`.
    pub fn host_header(&self, vip: IpAddr) -> String {
        let host = match &self.host {
            Host::Vip => bracketed(vip),
            Host::Address(address) => bracketed(*address),
            Host::Name(name) => name.clone(),
        };
        if self.port == if self.tls { 443 } else { 80 } {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// The `Host` header of a request to the host itself.
    pub fn own_host_header(&self) -> String {
        let authority = self.authority();
        authority.split_once("://").map(|(_, host)| host.to_owned()).unwrap_or_default()
    }

    /// The scheme, the host and the port: what of it may be shown wherever its path, too, may be
    /// a secret.
    pub fn authority(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let default = if self.tls { 443 } else { 80 };
        match self.port {
            port if port == default => format!("{scheme}://{}", self.host),
            port => format!("{scheme}://{}:{port}", self.host),
        }
    }

    /// The `Authorization` header's value, when the URL carries credentials.
    pub fn authorization(&self) -> Option<String> {
        self.credentials.as_ref().map(|text| format!("Basic {}", base64(text.as_bytes())))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "http{}://", if self.tls { "s" } else { "" })?;
        if self.credentials.is_some() {
            out.write_str("***@")?;
        }
        write!(out, "{}", self.host)?;
        if self.port != if self.tls { 443 } else { 80 } {
            write!(out, ":{}", self.port)?;
        }
        // A query may carry a token: it is as secret as a password.
        out.write_str(self.path.path())?;
        out.write_str(if self.path.query().is_some() { "?***" } else { "" })
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Url({self})")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vip => out.write_str("{vip}"),
            Self::Address(address) => out.write_str(&bracketed(*address)),
            Self::Name(name) => out.write_str(name),
        }
    }
}

/// An address as it stands before a `:port`.
pub fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// A URL, right or wrong, without what may be its credentials and without its query.
pub fn redacted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.into() };
    let (credentials, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((rest, _)) => format!("{scheme}://{credentials}{rest}?***"),
        None => format!("{scheme}://{credentials}{rest}"),
    }
}

/// Reads `host`, `host:port`, `[v6]`, `[v6]:port`, `{vip}` and `{vip}:port`.
///
/// # Errors
/// A sentence on what is wrong.
pub fn host_and_port(text: &str) -> Result<(Host, Option<u16>), String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or("a '[' is never closed")?;
        let address = inside.parse().map_err(|_| format!("'{inside}' is not an IPv6 address"))?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port),
            None if after.is_empty() => None,
            None => return Err(format!("'{after}' after ']' is not a :PORT")),
        };
        (Host::Address(IpAddr::V6(address)), port)
    } else if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(format!("an IPv6 address stands in brackets: [{text}]"));
    } else {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        (host(name)?, port)
    };
    Ok((host, port.map(port_number).transpose()?))
}

/// Reads a port number.
///
/// # Errors
/// A sentence on what is wrong.
pub fn port_number(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("'{text}' is not a port: a number from 1 to 65535")),
        Ok(port) => Ok(port),
    }
}

/// Reads a host without its port.
fn host(text: &str) -> Result<Host, String> {
    if text == "{vip}" {
        return Ok(Host::Vip);
    }
    if let Ok(address) = text.parse() {
        return Ok(Host::Address(IpAddr::V4(address)));
    }
    if text.is_empty() {
        return Err("the host is missing".into());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if numeric || text.len() > 253 || text.contains("..") || !text.chars().all(legal) {
        return Err(format!("'{text}' is not a host name or an address"));
    }
    Ok(Host::Name(text.to_ascii_lowercase()))
}

/// Undoes %-escapes.
fn unescape(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err("a % in the user or password is not followed by two digits".into()),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| "the user or password is not UTF-8")?;
    if text.chars().any(char::is_control) {
        return Err("the user or password holds a control character".into());
    }
    Ok(text)
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let value = three.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = ALPHABET[(value >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    #[test]
    fn a_url_is_taken_apart() {
        let url = Url::parse("http://208.201.239.37/").expect("a URL");
        assert_eq!(url.host, Host::Address("208.201.239.37".parse().expect("an address")));
        assert_eq!((url.tls, url.port, url.path.as_str()), (false, 80, "/"));
        let url = Url::parse("https://www.Example.org:8443/a?b=c#d").expect("a URL");
        assert_eq!(url.host, Host::Name("www.example.org".into()));
        assert_eq!((url.tls, url.port, url.path.as_str()), (true, 8443, "/a?b=c"));
        assert_eq!(url.host_header(VIP), "www.example.org:8443");
        let url = Url::parse("http://[2001:db8::1]?x").expect("a URL");
        assert_eq!(url.host_header(VIP), "[2001:db8::1]");
        assert_eq!(url.path.as_str(), "/?x");
        let url = Url::parse("HTTPS://{vip}/").expect("a URL");
        assert_eq!((url.host.clone(), url.host_header(VIP)), (Host::Vip, "10.0.0.9".into()));
    }

    #[test]
    fn credentials_go_into_the_header_and_nowhere_else() {
        let url = Url::parse("http://pinky:n%40rf@web/?token=1234").expect("a URL");
        assert_eq!(url.authorization().as_deref(), Some("Basic cGlua3k6bkByZg=="));
        assert_eq!(url.to_string(), "http://***@web/?***");
        assert!(!format!("{url:?}").contains("n@rf"));
    }

    #[test]
    fn a_wrong_url_is_shown_without_its_secrets() {
        for (text, shown) in [
            ("http://u:p@web:0/", "http://***@web:0/"),
            ("http://u:p/q@web/?token=1", "http://***@web/?***"),
            ("http://web/", "http://web/"),
            ("tcp:x", "tcp:x"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }

    #[test]
    fn base64_is_padded() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn malformed_urls_are_refused_with_a_reason() {
        for (text, reason) in [
            ("web/", "begins with http://"),
            ("ftp://web/", "'ftp://' cannot be asked"),
            ("http:///", "host is missing"),
            ("http://web:0/", "'0' is not a port"),
            ("http://web:99999/", "'99999' is not a port"),
            ("http://web:/", "'' is not a port"),
            ("http://::1/", "in brackets: [::1]"),
            ("http://[::1/", "never closed"),
            ("http://[web]/", "not an IPv6 address"),
            ("http://[::1]x/", "not a :PORT"),
            ("http://10.0.0.999/", "not a host name or an address"),
            ("http://a b/", "not a host name"),
            ("http://web/a b", "not a path"),
            ("http://u:pass/word@web/", "is written %2F"),
            ("http://a%zz:p@web/", "not followed by two digits"),
            ("http://a%0d:p@web/", "control character"),
        ] {
            let error = Url::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
