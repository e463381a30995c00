//! Which request gets what.
//!
//! Owns the paths, the methods, who is let in, and the headers that keep a browser from doing more
//! than it should. Never changes anything: every method but GET and HEAD is refused.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    WWW_AUTHENTICATE,
};
use http::{Method, Request, Response, StatusCode};

use super::body::Body;
use super::door::{Keys, Token};
use super::metrics::Format;
use super::page;
use super::site::Site;

/// What every answer carries. Nothing from elsewhere is loaded, nothing elsewhere may show it.
const ALWAYS: [(HeaderName, &str); 5] = [
    (
        http::header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (http::header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];
const PLAIN: &str = "text/plain; charset=utf-8";
/// What a browser asks a person for; a program sends `Bearer`.
const CHALLENGE: &str = "Basic realm=\"standin\", charset=\"UTF-8\"";

/// Answers one request.
pub(super) async fn answer<B>(
    request: &Request<B>,
    keys: &Keys,
    site: &Arc<Site>,
) -> Response<Body> {
    let mut response = match refuse(request, keys) {
        Some(refusal) => refusal,
        None => serve(request, site).await,
    };
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Why a request gets nothing.
fn refuse<B>(request: &Request<B>, keys: &Keys) -> Option<Response<Body>> {
    if keys.local_names_only && !is_local_name(request) {
        let why = "this listens for its own host only: ask for 127.0.0.1 or localhost\n";
        return Some(plain(StatusCode::FORBIDDEN, why));
    }
    if let Some(token) = &keys.token
        && !knows(request, token)
    {
        let mut response = plain(StatusCode::UNAUTHORIZED, "a token is needed\n");
        let challenge = HeaderValue::from_static(CHALLENGE);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        return Some(response);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "this can only be read\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(response);
    }
    None
}

/// A foreign page can make a browser ask us under a name of its own; it then reads the answer.
fn is_local_name<B>(request: &Request<B>) -> bool {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let Some(named) = request.uri().authority().map(http::uri::Authority::as_str).or(header) else {
        return true;
    };
    let Ok(authority) = named.parse::<http::uri::Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok()
}

/// Whether the token is sent, by a program or as the password of a person.
fn knows<B>(request: &Request<B>, token: &Token) -> bool {
    let Some(sent) = request.headers().get(AUTHORIZATION) else { return false };
    let Some((scheme, rest)) = split_once(sent.as_bytes(), b' ') else { return false };
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return token.is(rest);
    }
    let decoded = scheme.eq_ignore_ascii_case(b"basic").then(|| super::base64::decode(rest));
    let Some(Some(pair)) = decoded else { return false };
    split_once(&pair, b':').is_some_and(|(_, password)| token.is(password))
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..position], &bytes[position + 1..]))
}

async fn serve<B>(request: &Request<B>, site: &Arc<Site>) -> Response<Body> {
    let path = request.uri().path();
    let (kind, made) = match path {
        "/metrics" => {
            let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
            let format = Format::accepted_by(accepted.unwrap_or_default());
            (format.content_type(), site.metrics(format).await)
        }
        "/" => ("text/html; charset=utf-8", site.page().await),
        "/events" => return listen(request, site),
        "/page.css" => return lasting("text/css; charset=utf-8", page::STYLE),
        "/page.js" => return lasting("text/javascript; charset=utf-8", page::SCRIPT),
        "/icon.svg" => return lasting("image/svg+xml", page::ICON),
        "/status.json" => ("application/json", site.json().await),
        _ => return plain(StatusCode::NOT_FOUND, "there is nothing here: try /\n"),
    };
    match made {
        Ok(bytes) => with_type(StatusCode::OK, kind, bytes),
        Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// Changes of the page, for as long as somebody listens.
fn listen<B>(request: &Request<B>, site: &Arc<Site>) -> Response<Body> {
    const KIND: &str = "text/event-stream";
    if request.method() == Method::HEAD {
        return with_type(StatusCode::OK, KIND, Bytes::new());
    }
    let Some(changes) = site.listen() else {
        let why = "too many pages are kept up to date already\n";
        return plain(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let mut response = Response::new(Body::Stream(changes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
    response
}

/// A file that is the same for as long as its address is.
fn lasting(kind: &'static str, text: &'static str) -> Response<Body> {
    let mut response = with_type(StatusCode::OK, kind, Bytes::from_static(text.as_bytes()));
    let lasting = HeaderValue::from_static("private, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, lasting);
    response
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    with_type(status, PLAIN, text.into())
}

fn with_type(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
