//! The page for people: complete without a script, kept up to date with one.
//!
//! Owns the frame around the [`mod@sections`] and the three files that it loads, all from here.

mod markup;
pub mod sections;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;
use std::time::SystemTime;

use super::Ledger;
use crate::slow::Seen;
use markup::Markup;
use sections::{Section, Sight};

/// Its style.
pub(super) const STYLE: &str = include_str!("page.css");
/// Its script.
pub(super) const SCRIPT: &str = include_str!("page.js");
/// Its icon.
pub(super) const ICON: &str = include_str!("icon.svg");

/// Tells the files of one version from those of another in a browser's cache.
static EDITION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    (STYLE, SCRIPT, ICON).hash(&mut hasher);
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
});

/// Everything that changes, by section.
pub(super) fn sections(seen: &Seen, ledger: &Ledger) -> Vec<Section> {
    let Some(cluster) = &seen.cluster else { return Vec::new() };
    let now = SystemTime::now();
    Sight { seen, cluster, json: seen.to_json(), ledger, now }.sections()
}

/// The whole page around them.
pub(super) fn page(seen: &Seen, sections: &[Section]) -> String {
    let Some(cluster) = &seen.cluster else { return String::new() };
    let mut head = Markup::default();
    head.raw(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>",
    );
    head.text(&cluster.name).raw(": standin</title><link rel=\"icon\" href=\"icon.svg?v=");
    head.text(&*EDITION).raw("\"><link rel=\"stylesheet\" href=\"page.css?v=").text(&*EDITION);
    head.raw("\"><script defer src=\"page.js?v=").text(&*EDITION);
    head.raw(
        "\"></script></head><body><a class=\"skip\" href=\"#vips\">Skip to the VIPs</a>\
         <header><h1>",
    );
    head.text(&cluster.name).raw("</h1><p>as <strong>").text(&cluster.node);
    head.raw(
        "</strong> sees it</p><p id=\"live\"><noscript>without a script: load again to see \
         changes</noscript></p></header>\
         <p id=\"news\" class=\"unseen\" role=\"status\" aria-live=\"polite\"></p><main>",
    );
    let mut page = head.finish();
    for (_, html) in sections {
        page.push_str(html);
    }
    page.push_str("</main><footer><p>standin ");
    page.push_str(env!("CARGO_PKG_VERSION"));
    page.push_str(
        "</p><p><a href=\"status.json\">Status as JSON</a></p>\
         <p><a href=\"metrics\">Metrics</a></p></footer></body></html>\n",
    );
    page
}
