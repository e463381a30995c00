//! The HTTP check: one GET on a connection of its own.
//!
//! The connection goes to the address the run was given and the request names the virtual host of
//! the URL. Redirects are results, not errands. At most [`BODY_LIMIT`] bytes of the body are read,
//! and only when text is expected in it.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, HOST, HeaderValue,
    USER_AGENT,
};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{HttpProbe, Phase, Target, connect, tls};

/// No page is read beyond this: a check must not be a way to exhaust memory or time.
pub const BODY_LIMIT: usize = 1 << 20;

/// A head longer than this, in bytes, is no answer to us.
const HEAD_LIMIT: usize = 64 << 10;

/// Runs the check once.
pub async fn run(
    probe: &HttpProbe,
    tls: Option<&tls::Client>,
    target: &Target,
    phase: &Phase,
) -> Result<(), String> {
    let start = Instant::now();
    let stream = connect(target, probe.url.port, phase).await?;
    let request = request(probe, target)?;
    match tls {
        None => exchange(probe, request, stream, start, phase).await,
        Some(client) => {
            phase.set("TLS handshake");
            let stream = client.connect(stream, &probe.url.host, target.vip).await?;
            exchange(probe, request, stream, start, phase).await
        }
    }
}

fn request(probe: &HttpProbe, target: &Target) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(probe.url.path.as_str())
        .header(HOST, probe.url.host_header(target.vip))
        .header(USER_AGENT, concat!("standin/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close");
    if let Some(credentials) = probe.url.authorization() {
        let mut value = HeaderValue::from_str(&credentials)
            .map_err(|_| "the user or password cannot be sent".to_string())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    request.body(Empty::new()).map_err(|error| format!("cannot be requested: {error}"))
}

async fn exchange<S>(
    probe: &HttpProbe,
    request: Request<Empty<Bytes>>,
    stream: S,
    start: Instant,
    phase: &Phase,
) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    phase.set("waiting for the answer");
    converse(request, stream, |response| judge(probe, response, start, phase)).await
}

/// Sends a request and hands the answer to `judge`. Drives the connection and the conversation on it
/// together, without a task of its own, so that dropping the run ends both.
///
/// # Errors
/// A sentence on what went wrong, or what `judge` says.
pub async fn converse<S, B, J, F, T>(request: Request<B>, stream: S, judge: J) -> Result<T, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body<Data = Bytes, Error = Infallible> + 'static,
    J: FnOnce(Response<Incoming>) -> F,
    F: Future<Output = Result<T, String>>,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_LIMIT);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| http_error(&error))?;
    let conversation = async {
        let response = sender.send_request(request).await.map_err(|error| http_error(&error))?;
        judge(response).await
    };
    tokio::pin!(connection, conversation);
    let mut closed = false;
    loop {
        tokio::select! {
            biased;
            result = &mut conversation => return result,
            _ = &mut connection, if !closed => closed = true,
        }
    }
}

async fn judge(
    probe: &HttpProbe,
    response: Response<Incoming>,
    start: Instant,
    phase: &Phase,
) -> Result<(), String> {
    let status = response.status().as_u16();
    if !probe.expect_status.contains(status) {
        return Err(format!(
            "HTTP {status} after {} ms, expected {}",
            start.elapsed().as_millis(),
            probe.expect_status
        ));
    }
    let Some(text) = &probe.expect_text else { return Ok(()) };
    phase.set("reading the page");
    let encoding = response.headers().get(CONTENT_ENCODING).cloned();
    find(text, response.into_body()).await.map_err(|why| match encoding {
        // The text may well be in it, for whoever unpacks it.
        Some(encoding) if encoding != "identity" => {
            let encoding = encoding.to_str().unwrap_or("something").to_owned();
            format!("{why}: the server packs it as {encoding} though it was asked not to")
        }
        _ => why,
    })
}

/// Looks for `text` in the first [`BODY_LIMIT`] bytes.
async fn find(text: &str, mut body: Incoming) -> Result<(), String> {
    let mut search = Search::new(text.as_bytes());
    while search.seen < BODY_LIMIT {
        let Some(frame) = body.frame().await else {
            return Err(format!("no '{}' in {} bytes", excerpt(text), search.seen));
        };
        let frame = frame.map_err(|error| {
            format!("the page broke off after {} bytes: {}", search.seen, http_error(&error))
        })?;
        if let Ok(chunk) = frame.into_data() {
            let room = BODY_LIMIT - search.seen;
            if search.feed(&chunk[..chunk.len().min(room)]) {
                return Ok(());
            }
        }
    }
    Err(format!("no '{}' in the first MiB", excerpt(text)))
}

/// A text searched for in chunks: the end of what was seen is kept, as long as the text could
/// still begin in it.
struct Search<'a> {
    text: &'a [u8],
    tail: Vec<u8>,
    seen: usize,
}

impl<'a> Search<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, tail: Vec::new(), seen: 0 }
    }

    /// Takes the next chunk and says whether the text has been found.
    fn feed(&mut self, chunk: &[u8]) -> bool {
        self.seen += chunk.len();
        self.tail.extend_from_slice(chunk);
        if self.tail.windows(self.text.len()).any(|window| window == self.text) {
            return true;
        }
        let keep = self.text.len().saturating_sub(1).min(self.tail.len());
        self.tail.drain(..self.tail.len() - keep);
        false
    }
}

/// The start of the expected text, for a sentence.
fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    if start.len() < text.len() { format!("{start}…") } else { start }
}

/// A hyper error with its cause, which hyper's own text leaves out.
fn http_error(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error);
    if let Some(cause) = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()) {
        return tls::explain(cause);
    }
    if error.is_incomplete_message() {
        return "the connection was closed before the answer".into();
    }
    if error.is_parse() {
        return format!("the answer is not HTTP: {error}");
    }
    match cause {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::Search;

    #[test]
    fn text_is_found_across_chunk_borders() {
        for size in 1..=12 {
            let mut search = Search::new(b"</html>");
            let found = b"<p></htm</html>".chunks(size).any(|chunk| search.feed(chunk));
            assert!(found, "chunks of {size}");
        }
        let mut search = Search::new(b"</html>");
        assert!(!search.feed(b"</html"));
        assert!(!search.feed(b""));
        assert!(search.feed(b">"));
        assert_eq!(search.seen, 7);
    }
}
