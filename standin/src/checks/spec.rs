//! What a `--check` asks for: parsed once, valid from then on.
//!
//! A [`Check`] is about one VIP ([`Concerns::One`]) or about all of them; it does not know where
//! to connect. That is a parameter of each run, because the same check is made on the VIP while
//! HOST holds it and on HOST's real address while we stand in.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::url::{Host, Url, bracketed, host_and_port, port_number};
use super::{DnsProbe, IcmpProbe, words};

/// A check with its timing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is asked of the service.
    pub probe: Probe,
    /// How often, how long, and how many results make an opinion.
    pub timing: Timing,
}

/// When a check runs and how its results are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From the start of one run to the start of the next.
    pub interval: Duration,
    /// The time one run has.
    pub timeout: Duration,
    /// So many successes in a row end a failure.
    pub rise: u32,
    /// So many failures in a row are a failure.
    pub fall: u32,
}

/// What is asked of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A page by HTTP or HTTPS.
    Http(HttpProbe),
    /// A TCP connection, closed at once.
    Tcp(TcpProbe),
    /// A question to a name server.
    Dns(DnsProbe),
    /// An echo request.
    Icmp(IcmpProbe),
    /// A program that exits with 0.
    Command(CommandProbe),
}

/// A page, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// Where the page is.
    pub url: Url,
    /// The status codes that are success.
    pub expect_status: StatusSet,
    /// Text that has to be in the first mebibyte of the body.
    pub expect_text: Option<String>,
    /// How the server proves who it is; unused without TLS.
    pub tls: TlsOptions,
}

/// How a TLS server is verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Any certificate will do.
    pub insecure: bool,
    /// The name in the certificate, when it is not the URL's host.
    pub server_name: Option<String>,
    /// A PEM file of further certificate authorities.
    pub ca_file: Option<PathBuf>,
}

/// A TCP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpProbe {
    /// Whom it is made to.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandProbe {
    /// Its path or name.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Which VIPs a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns {
    /// The one that its URL names.
    One(IpAddr),
    /// Every `--vip`.
    Every,
}

impl Concerns {
    /// Whether `vip` is meant.
    pub fn includes(self, vip: IpAddr) -> bool {
        match self {
            Self::One(only) => only == vip,
            Self::Every => true,
        }
    }
}

impl Probe {
    /// Reads the argument of `--check`, with the expectations still at their defaults.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("tcp:") {
            return tcp(rest).map(Self::Tcp);
        }
        if let Some(rest) = text.strip_prefix("dns:") {
            return DnsProbe::parse(rest).map(Self::Dns);
        }
        if let Some(rest) = text.strip_prefix("icmp") {
            let target = rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("{vip}"));
            return IcmpProbe::parse(target.ok_or("it is no kind of check")?).map(Self::Icmp);
        }
        if let Some(rest) = text.strip_prefix("command:") {
            let mut words = words::split(rest)?.into_iter();
            let program = words.next().filter(|program| !program.is_empty());
            let program = program.ok_or("the command is missing: command:'/path argument'")?;
            return Ok(Self::Command(CommandProbe { program, arguments: words.collect() }));
        }
        if !text.contains("://") {
            return Err("it is no kind of check".into());
        }
        Ok(Self::Http(HttpProbe {
            url: Url::parse(text)?,
            expect_status: StatusSet::default(),
            expect_text: None,
            tls: TlsOptions::default(),
        }))
    }

    /// The check's name in the log when it is made for `vip`.
    pub fn name_for(&self, vip: IpAddr) -> String {
        self.to_string().replace("{vip}", &bracketed(vip))
    }

    /// Which VIPs it is about.
    pub fn concerns(&self) -> Concerns {
        let host = match self {
            Self::Http(http) => &http.url.host,
            Self::Tcp(tcp) => &tcp.host,
            Self::Dns(dns) => &dns.host,
            Self::Icmp(icmp) => &icmp.host,
            Self::Command(_) => return Concerns::Every,
        };
        match host {
            Host::Address(address) => Concerns::One(*address),
            Host::Vip | Host::Name(_) => Concerns::Every,
        }
    }
}

/// Reads what follows `tcp:`.
fn tcp(text: &str) -> Result<TcpProbe, String> {
    if !text.contains([':', '[', '.', '{']) {
        return Ok(TcpProbe { host: Host::Vip, port: port_number(text)? });
    }
    let (host, port) = host_and_port(text)?;
    let port = port.ok_or_else(|| format!("the port is missing: tcp:{text}:443"))?;
    Ok(TcpProbe { host, port })
}

/// The check as it is named in the log: no credentials, no query.
impl fmt::Display for Probe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => write!(out, "{}", http.url),
            Self::Tcp(tcp) => write!(out, "tcp:{}:{}", tcp.host, tcp.port),
            Self::Dns(dns) => write!(out, "{dns}"),
            Self::Icmp(icmp) => write!(out, "{icmp}"),
            // Arguments may be secrets, the program's name is not.
            Self::Command(command) => write!(out, "command:{}", command.program),
        }
    }
}

/// The HTTP status codes that are success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// Reads `200`, `200,204` or `200-299,401`.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let code = |part: &str| {
            if let Ok(code @ 100..=999_u16) = part.trim().parse() {
                return Ok(code);
            }
            // Where nothing stands, the whole says more.
            let said = if part.trim().is_empty() { text } else { part };
            Err(format!("'{said}' is not an HTTP status such as 200 or 200-299,401"))
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let range = match part.split_once('-') {
                Some((from, to)) => code(from)?..=code(to)?,
                None => code(part).map(|code| code..=code)?,
            };
            if range.is_empty() {
                return Err(format!("'{part}' ends before it begins"));
            }
            ranges.push(range);
        }
        Ok(Self(ranges))
    }

    /// Whether `status` is success.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl Default for StatusSet {
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return out.write_str("2xx or 3xx");
        }
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match (range.start(), range.end()) {
                (from, to) if from == to => write!(out, "{comma}{from}")?,
                (from, to) => write!(out, "{comma}{from}-{to}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_targets_are_read_with_and_without_an_address() {
        let read = |text| match Probe::parse(text) {
            Ok(Probe::Tcp(tcp)) => (tcp.host, tcp.port),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(read("tcp:443"), (Host::Vip, 443));
        assert_eq!(read("tcp:{vip}:443"), (Host::Vip, 443));
        let address = |text: &str| Host::Address(text.parse().expect("an address"));
        assert_eq!(read("tcp:10.0.0.9:22"), (address("10.0.0.9"), 22));
        assert_eq!(read("tcp:[2001:db8::9]:22"), (address("2001:db8::9"), 22));
        assert_eq!(read("tcp:web:22"), (Host::Name("web".into()), 22));
        let probe = Probe::parse("tcp:443").expect("a check");
        assert_eq!(probe.name_for("fd00::9".parse().expect("an address")), "tcp:[fd00::9]:443");
    }

    #[test]
    fn echo_requests_go_to_the_vip_unless_they_name_one() {
        for (text, shown) in [
            ("icmp", "icmp:10.0.0.9"),
            ("icmp:{vip}", "icmp:10.0.0.9"),
            ("icmp:10.0.0.8", "icmp:10.0.0.8"),
            ("dns://{vip}:5353/a.example", "dns://10.0.0.9:5353/a.example"),
        ] {
            let vip = "10.0.0.9".parse().expect("an address");
            assert_eq!(Probe::parse(text).expect(text).name_for(vip), shown);
        }
        let nine = "10.0.0.9".parse().expect("an address");
        let probe = Probe::parse("icmp:10.0.0.9").expect("a check");
        assert_eq!(probe.concerns(), Concerns::One(nine));
    }

    #[test]
    fn a_command_is_split_into_words() {
        let probe = Probe::parse("command:'/opt/my check' --deep 'a b'").expect("a command");
        let Probe::Command(command) = &probe else { panic!("{probe:?}") };
        assert_eq!(command.program, "/opt/my check");
        assert_eq!(command.arguments, ["--deep", "a b"]);
        assert_eq!(probe.to_string(), "command:/opt/my check");
    }

    #[test]
    fn what_a_check_concerns_follows_from_its_host() {
        let concerns = |text| Probe::parse(text).expect(text).concerns();
        let nine: IpAddr = "10.0.0.9".parse().expect("an address");
        assert_eq!(concerns("http://10.0.0.9/"), Concerns::One(nine));
        assert_eq!(concerns("http://www.example.org/"), Concerns::Every);
        assert_eq!(concerns("tcp:80"), Concerns::Every);
        assert!(!Concerns::One(nine).includes("10.0.0.8".parse().expect("an address")));
    }

    #[test]
    fn malformed_checks_are_refused_with_a_reason() {
        for (text, reason) in [
            ("10.0.0.9", "no kind of check"),
            ("tcp:", "'' is not a port"),
            ("tcp:http", "'http' is not a port"),
            ("tcp:10.0.0.9", "the port is missing"),
            ("tcp:70000", "'70000' is not a port"),
            ("icmpv6", "no kind of check"),
            ("icmp:", "the host is missing"),
            ("icmp:web", "neither {vip} nor an address"),
            ("dns:", "the name is missing"),
            ("ping", "no kind of check"),
            ("command:", "the command is missing"),
            ("command:''", "the command is missing"),
            ("command:'a", "never closed"),
        ] {
            let error = Probe::parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn status_sets_are_lists_and_ranges() {
        let set = StatusSet::parse("200-299,401").expect("a set");
        assert!(set.contains(204) && set.contains(401) && !set.contains(302));
        assert_eq!(set.to_string(), "200-299, 401");
        assert!(StatusSet::default().contains(301) && !StatusSet::default().contains(404));
        for text in ["", "2xx", "99", "300-200", "200,"] {
            assert!(StatusSet::parse(text).is_err(), "{text}");
        }
    }
}
