//! `[http]`: where the page and the metrics are served, and to whom.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::keys::Section;
use super::model::{Http, TlsFiles};
use super::problem::{Problem, Problems, Span};
use super::reader::{Table, Text};
use super::settings::with_table;

/// The TCP port when nothing else is said: the one beside the heartbeats' UDP port, of the same
/// stretch that nobody has been assigned.
pub const DEFAULT_HTTP_PORT: u16 = 4962;

/// Reads `[http]`; none when the file has no such table.
pub fn http(top: &Table<'_>, file: &Path, problems: &mut Problems) -> Option<Http> {
    top.get("http")?;
    with_table(top, "http", Section::Http, problems, |table, problems| {
        let listen = table.text("listen", problems);
        let at = listen.map_or(table.span.clone(), |text| text.span());
        let listen = match listen {
            Some(text) => address(text, problems)?,
            None => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DEFAULT_HTTP_PORT),
        };
        let remote = table.get("allow-remote").map(super::reader::Placed::span);
        let allow_remote = table.flag("allow-remote", problems).unwrap_or_default();
        let beside = file.parent().unwrap_or(Path::new(""));
        let mut path = |key| table.text(key, problems).map(|text| beside.join(text.text));
        let (token_file, cert, key) = (path("token-file"), path("tls-cert"), path("tls-key"));
        let tls = pair(table, cert, key, problems);
        let http = Http { listen, token_file, tls };
        judge_reach(&http, allow_remote, (at, remote), problems);
        Some(http)
    })
}

fn address(text: Text<'_>, problems: &mut Problems) -> Option<SocketAddr> {
    let bare = text.text.trim_start_matches('[').trim_end_matches(']');
    let without_port = bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DEFAULT_HTTP_PORT));
    let found = text.text.parse::<SocketAddr>().ok().or(without_port);
    let Some(found) = found.filter(|address| address.port() != 0) else {
        problems.push(
            Problem::error(text.span(), format!("'{}' is nowhere to listen", text.text))
                .label("expected an address and a port, such as \"127.0.0.1:4962\"")
                .help(format!("the port may be left out: it is {DEFAULT_HTTP_PORT} then")),
        );
        return None;
    };
    Some(found)
}

fn pair(
    table: &Table<'_>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    problems: &mut Problems,
) -> Option<TlsFiles> {
    let (alone, missing) = match (cert, key) {
        (Some(cert), Some(key)) => return Some(TlsFiles { cert, key }),
        (None, None) => return None,
        (Some(_), None) => ("tls-cert", "tls-key"),
        (None, Some(_)) => ("tls-key", "tls-cert"),
    };
    let span = table.key_span(alone).unwrap_or_else(|| table.span.clone());
    problems.push(
        Problem::error(span, format!("{alone} is of no use without {missing}"))
            .label(format!("expected {missing} as well")),
    );
    None
}

/// The page is for this host alone unless the file says otherwise.
fn judge_reach(
    http: &Http,
    allow_remote: bool,
    (listen, remote): (Span, Option<Span>),
    problems: &mut Problems,
) {
    if http.is_loopback() {
        return;
    }
    if !allow_remote {
        problems.push(
            Problem::error(listen, format!("{} can be reached from other hosts", http.listen.ip()))
                .label("expected a loopback address, such as 127.0.0.1")
                .help("say allow-remote = true, and name a token-file, if that is what you want"),
        );
        return;
    }
    let span = remote.unwrap_or(listen);
    if http.token_file.is_none() {
        problems.push(
            Problem::warning(span, format!("anybody who reaches {} reads the status", http.listen))
                .label("there is no token-file")
                .help("token-file = \"/etc/standin/http-token\""),
        );
    } else if http.tls.is_none() {
        problems.push(
            Problem::warning(span, "the token is sent in the clear")
                .label("there is no tls-cert")
                .help("add tls-cert and tls-key, or use a network that nobody else reads"),
        );
    }
}
