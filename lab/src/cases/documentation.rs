//! The command blocks of the documentation: each page is a story, told on a network of its own.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Case, beside};
use crate::manual::{play, root};
use crate::story::Lab;

/// A case for a page.
macro_rules! page {
    ($name:literal, $page:literal) => {
        beside($name, concat!("the commands of ", $page, ", as they stand there"), |lab| {
            play(lab, $page)
        })
    };
}

pub const CASES: &[Case] = &[
    page!("docs_readme", "README.md"),
    page!("docs_manual", "docs/MANUAL.md"),
    page!("docs_configuration", "docs/CONFIGURATION.md"),
    page!("docs_operations", "docs/OPERATIONS.md"),
    page!("docs_troubleshooting", "docs/TROUBLESHOOTING.md"),
    page!("docs_migrating", "docs/MIGRATING.md"),
    page!("docs_recipes", "docs/RECIPES.md"),
    page!("docs_metrics", "docs/METRICS.md"),
    page!("docs_page", "docs/PAGE.md"),
    beside("docs_others", "what the other pages tell to run, or why it is not run", others),
];

/// Every page that has no case of its own, so that a new page is not forgotten.
fn others(lab: &Lab) -> Result<()> {
    let docs = root().join("docs");
    let mut pages: Vec<String> = Vec::new();
    for entry in docs.read_dir().context("docs")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let own = CASES.iter().any(|case| case.about.contains(&format!("docs/{name},")));
        if !own && Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort();
    pages.iter().try_for_each(|page| play(lab, page))
}
