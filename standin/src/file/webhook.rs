//! `[[webhook]]`: who is told of what happens, by HTTP.

use std::path::Path;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::keys::Section;
use super::model::{Webhook, WebhookEvent};
use super::nodes::judge_name;
use super::problem::{Problem, Problems, Span};
use super::reader::{Placed, Table, Text, entries, word};
use crate::checks::url::{Host, Url};

/// More than these nobody reads, and each has a queue.
const MOST: usize = 8;
/// Long enough for a gateway that hands the event on before it answers.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_mins(1));
/// Older news of an address that moves is of no use to anybody who is woken by it.
const DEFAULT_RETRY_FOR: Duration = Duration::from_hours(1);
const RETRY_FOR_MOST: Duration = Duration::from_hours(24);

/// A webhook with its places in the file.
struct Draft {
    webhook: Webhook,
    /// Where its name, or what it is called by instead, stands.
    span: Span,
}

/// Reads every `[[webhook]]`, in the order of the file.
pub fn read(top: &Table<'_>, file: &Path, problems: &mut Problems) -> Vec<Webhook> {
    let Some(value) = top.get("webhook") else { return Vec::new() };
    let tables: Vec<Placed<'_>> = match value.inner() {
        DeValue::Array(list) => entries(list).collect(),
        DeValue::Table(_) => {
            problems.push(
                Problem::error(value.span(), "[webhook] is written [[webhook]]")
                    .label("double brackets: there may be several")
                    .help("[[webhook]]"),
            );
            vec![value]
        }
        _ => {
            value.refuse("a table, [[webhook]]", problems);
            return Vec::new();
        }
    };
    if let Some(one_too_many) = tables.get(MOST) {
        problems.push(
            Problem::error(one_too_many.span(), "there are too many webhooks")
                .label(format!("expected at most {MOST}")),
        );
    }
    let mut drafts: Vec<Draft> = Vec::new();
    for table in tables {
        let DeValue::Table(inner) = table.inner() else {
            table.refuse("a table, [[webhook]]", problems);
            continue;
        };
        let Some(draft) = one(inner, table.span(), file, problems) else { continue };
        let same = |twin: &&Draft| twin.webhook.name == draft.webhook.name;
        if let Some(twin) = drafts.iter().find(same) {
            problems.push(
                Problem::error(
                    draft.span.clone(),
                    format!("two [[webhook]] are called '{}'", draft.webhook.name),
                )
                .with(twin.span.clone(), "the first")
                .help("give each a name: name = \"pager\""),
            );
        }
        drafts.push(draft);
    }
    drafts.into_iter().map(|draft| draft.webhook).collect()
}

fn one(inner: &DeTable<'_>, span: Span, file: &Path, problems: &mut Problems) -> Option<Draft> {
    let before = problems.errors();
    let table = Table::open(inner, span, Section::Webhook, problems);
    let help = "url = \"https://hooks.example.net/standin\"";
    let place = table.need("url", help, problems).and_then(|value| value.text(problems));
    let url = place.and_then(|text| url(text, problems));
    let named = table.text("name", problems);
    let name = named.and_then(|text| match judge_name(text.text) {
        Ok(()) => Some(text.text.to_owned()),
        Err(why) => {
            problems.push(Problem::error(text.span(), format!("'{}' {why}", text.text)));
            None
        }
    });
    let events = events(&table, problems);
    let beside = file.parent().unwrap_or(Path::new(""));
    let mut path = |key| table.text(key, problems).map(|text| beside.join(text.text));
    let (secret_file, ca_file) = (path("secret-file"), path("ca-file"));
    if let (Some(url), Some(_)) = (&url, &ca_file)
        && !url.tls
    {
        let span = table.key_span("ca-file").unwrap_or_else(|| table.span.clone());
        problems.push(
            Problem::error(span, "ca-file is of no use without TLS")
                .label("expected an https:// URL with it"),
        );
    }
    let timeout = time(&table, "timeout", TIMEOUT, "from 100ms to 1m", problems);
    let range = (Duration::ZERO, RETRY_FOR_MOST);
    let retry_for = time(&table, "retry-for", range, "at most a day (24h)", problems);
    if problems.errors() > before {
        return None;
    }
    let url = url?;
    let span = named.or(place).map_or(table.span, |text| text.span());
    let name = name.unwrap_or_else(|| url.authority());
    let webhook = Webhook {
        name,
        url,
        events,
        secret_file,
        ca_file,
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        retry_for: retry_for.unwrap_or(DEFAULT_RETRY_FOR),
    };
    Some(Draft { webhook, span })
}

/// What is wrong with a URL is said without the URL: its path may be a secret.
fn url(text: Text<'_>, problems: &mut Problems) -> Option<Url> {
    let refused = |why: String| Problem::error(text.span(), "nothing can be sent there").label(why);
    match Url::parse(text.text) {
        Ok(url) if url.host == Host::Vip => {
            let why = "{vip} is for checks: a webhook has one host".to_owned();
            problems.push(refused(why));
            None
        }
        Ok(url) => Some(url),
        Err(why) => {
            // The sentences about a path quote it.
            let why = if why.contains("is not a path") {
                "its path has to be escaped: spaces and the like as %20".to_owned()
            } else {
                why
            };
            problems.push(refused(why));
            None
        }
    }
}

fn events(table: &Table<'_>, problems: &mut Problems) -> Vec<WebhookEvent> {
    let Some(value) = table.get("events") else { return WebhookEvent::ALL.to_vec() };
    let words = WebhookEvent::ALL.map(|event| (event.name(), event));
    let texts = value.texts("an event", problems);
    let mut events: Vec<_> =
        texts.into_iter().filter_map(|text| word(text, &words, problems)).collect();
    events.sort_unstable();
    events.dedup();
    events
}

fn time(
    table: &Table<'_>,
    key: &'static str,
    (least, most): (Duration, Duration),
    expected: &str,
    problems: &mut Problems,
) -> Option<Duration> {
    let (time, span) = table.duration(key, problems)?;
    if !(least..=most).contains(&time) {
        problems.push(
            Problem::error(span, format!("{key} of a webhook is out of range"))
                .label(format!("expected {expected}")),
        );
    }
    Some(time)
}
