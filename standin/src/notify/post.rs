//! One attempt to tell a receiver of one event.
//!
//! Owns what a receiver is asked with and what its answer means. A redirect is not followed: the
//! signature is for one receiver. Invariant: every attempt ends within the webhook's timeout, and no
//! sentence about it holds the URL's path or query, the credentials or the secret.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::sign::{HEADER, Secret, signature};
use crate::checks::url::Host;
use crate::checks::{TlsOptions, connect_error, converse, tls};
use crate::duration;
use crate::failure::Result;
use crate::file::{Webhook, WebhookEvent};

/// An event's id, so that a receiver can tell one that comes twice.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A webhook made ready: its secret and its certificates are read.
#[derive(Debug, Clone)]
pub struct Target {
    webhook: Webhook,
    secret: Option<Secret>,
    tls: Option<tls::Client>,
    /// The certificate authorities beside the system's, as they were read.
    pem: Option<Vec<u8>>,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.webhook == other.webhook && self.secret == other.secret && self.pem == other.pem
    }
}

impl Target {
    /// Makes a webhook ready.
    ///
    /// # Errors
    /// Its secret or its certificates cannot be read or used.
    pub fn prepare(webhook: &Webhook) -> Result<Self> {
        let about =
            |failure: crate::failure::Failure| failure.about(format!("webhook {}", webhook.name));
        let secret = webhook.secret_file.as_deref().map(Secret::read).transpose().map_err(about)?;
        let options = TlsOptions { ca_file: webhook.ca_file.clone(), ..TlsOptions::default() };
        let tls = webhook.url.tls.then(|| tls::Client::new(&options)).transpose().map_err(about)?;
        let pem = webhook.ca_file.as_ref().and_then(|path| std::fs::read(path).ok());
        Ok(Self { webhook: webhook.clone(), secret, tls, pem })
    }

    /// How it is called.
    pub fn name(&self) -> &str {
        &self.webhook.name
    }

    /// Whether it is told of such events.
    pub fn wants(&self, event: WebhookEvent) -> bool {
        self.webhook.events.contains(&event)
    }

    /// An event that is older is not tried again.
    pub fn retry_for(&self) -> Duration {
        self.webhook.retry_for
    }

    fn request(&self, body: Bytes, id: &str) -> std::result::Result<Request<Full<Bytes>>, String> {
        let url = &self.webhook.url;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(url.path.as_str())
            .header(HOST, url.own_host_header())
            .header(USER_AGENT, concat!("standin/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header(IDEMPOTENCY_KEY, id)
            .header(CONNECTION, "close");
        if let Some(secret) = &self.secret {
            request = request.header(HEADER, signature(secret, SystemTime::now(), &body));
        }
        if let Some(credentials) = url.authorization() {
            let mut value = HeaderValue::from_str(&credentials)
                .map_err(|_| "the user or password cannot be sent".to_owned())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request.body(Full::new(body)).map_err(|_| "the request cannot be made".to_owned())
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has taken the event.
    Delivered,
    /// It may take it another time.
    Again {
        /// What was wrong.
        why: String,
        /// The receiver does not want to be asked before.
        after: Option<Duration>,
    },
    /// It will never take it.
    Refused {
        /// What it said.
        why: String,
    },
}

/// Sends a body once.
pub(super) async fn post(target: &Target, body: Bytes, id: &str) -> Outcome {
    let limit = target.webhook.timeout;
    match timeout(limit, attempt(target, body, id)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(why)) => Outcome::Again { why, after: None },
        Err(_) => {
            let why = format!("no answer within {}", duration::show(limit));
            Outcome::Again { why, after: None }
        }
    }
}

async fn attempt(target: &Target, body: Bytes, id: &str) -> std::result::Result<Outcome, String> {
    let request = target.request(body, id)?;
    let begun = Instant::now();
    let stream = connect(target).await?;
    let at = stream.peer_addr().map_err(|error| connect_error(&error))?.ip();
    let judged = |response: Response<_>| async move { Ok(judge(&response, begun.elapsed())) };
    match &target.tls {
        None => converse(request, stream, judged).await,
        Some(client) => {
            let stream = client.connect(stream, &target.webhook.url.host, at).await?;
            converse(request, stream, judged).await
        }
    }
}

/// Connects to the first of the host's addresses that answers; none may use up the others' time.
async fn connect(target: &Target) -> std::result::Result<TcpStream, String> {
    let url = &target.webhook.url;
    let addresses: Vec<SocketAddr> = match &url.host {
        Host::Address(address) => vec![SocketAddr::new(*address, url.port)],
        Host::Name(name) => tokio::net::lookup_host((name.as_str(), url.port))
            .await
            .map_err(|error| lookup_error(name, &error))?
            .collect(),
        Host::Vip => Vec::new(),
    };
    let share = target.webhook.timeout / u32::try_from(addresses.len() + 1).unwrap_or(u32::MAX);
    let mut why = "the name has no address".to_owned();
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => why = format!("{}: {}", address.ip(), connect_error(&error)),
            Err(_) => why = format!("{}: no answer to the connection attempt", address.ip()),
        }
    }
    Err(why)
}

/// The resolver's own words stand behind those of the standard library.
fn lookup_error(name: &str, error: &io::Error) -> String {
    let text = error.to_string();
    let why = text.rsplit(": ").next().unwrap_or("no answer").to_lowercase();
    format!("the name {name} is not resolved: {why}")
}

/// What an answer means: 2xx is taken, what may pass is tried again, everything else never is.
fn judge<B>(response: &Response<B>, elapsed: Duration) -> Outcome {
    let status = response.status();
    let why = format!("HTTP {} after {} ms", status.as_u16(), elapsed.as_millis());
    if status.is_success() {
        return Outcome::Delivered;
    }
    let may_pass = status.is_server_error()
        || status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_MANY_REQUESTS;
    if may_pass {
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        return Outcome::Again { why, after };
    }
    let why = if status.is_redirection() {
        format!("HTTP {}: a redirect is not followed", status.as_u16())
    } else {
        format!("HTTP {}", status.as_u16())
    };
    Outcome::Refused { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, retry_after: &str) -> Outcome {
        let response = Response::builder().status(status).header(RETRY_AFTER, retry_after);
        judge(&response.body(()).expect("a response"), Duration::from_millis(12))
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [200, 202, 204, 299] {
            assert_eq!(judged(status, ""), Outcome::Delivered, "{status}");
        }
        for status in [408, 429, 500, 502, 503, 599] {
            let why = format!("HTTP {status} after 12 ms");
            assert_eq!(judged(status, "soon"), Outcome::Again { why, after: None }, "{status}");
        }
        for status in [301, 302, 307, 308, 400, 401, 404, 410, 422] {
            assert!(matches!(judged(status, "7"), Outcome::Refused { .. }), "{status}");
        }
        let Outcome::Again { after, .. } = judged(503, "7") else { panic!("for ever") };
        assert_eq!(after, Some(Duration::from_secs(7)));
    }
}
