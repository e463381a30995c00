//! `cargo xtask man`: manual pages and completions.
//!
//! Owns the way to standin.toml(5), which says what docs/CONFIGURATION.md says. The pages of the
//! commands come from the command line itself, by an example program of the package `standin`:
//! nothing here knows a flag. Only the forms of Markdown that our own page has are understood.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// What standin.toml(5) is made of.
const REFERENCE: &str = "docs/CONFIGURATION.md";

/// Writes them all below the directory of the release binary, and says where.
pub fn write(workspace: &Workspace) -> Result<PathBuf> {
    let directory = workspace.target().join("release").join("manual");
    let shown = directory.display().to_string();
    example(workspace, &[&shown])?;
    let source = workspace.root().join(REFERENCE);
    let text = std::fs::read_to_string(&source).context(source.display().to_string())?;
    let page = directory.join("standin.toml.5");
    std::fs::write(&page, manual_page(&text)).context(page.display().to_string())?;
    println!("manual pages and completions are in {shown}");
    Ok(directory)
}

/// Writes the tables of keys in the reference anew, from the program's own.
pub fn update_reference(workspace: &Workspace) -> Result<()> {
    let shown = workspace.root().join(REFERENCE).display().to_string();
    example(workspace, &["--reference", &shown])
}

fn example(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let example = ["run", "--quiet", "--release", "--locked", "--package", "standin"];
    workspace.cargo(&[&example[..], &["--example", "manual", "--"], arguments].concat())
}

/// The page for a text in Markdown, in the macros of man(7).
fn manual_page(markdown: &str) -> String {
    let mut page = String::from(
        ".TH standin.toml 5 \"\" standin \"File Formats\"\n\
         .SH NAME\nstandin.toml \\- the configuration file of a cluster\n\
         .SH SYNOPSIS\n.I /etc/standin/standin.toml\n.SH DESCRIPTION\n",
    );
    let mut lines = markdown.lines().peekable();
    let mut columns: Option<Vec<String>> = None;
    let mut in_paragraph = false;
    while let Some(line) = lines.next() {
        let is_row = line.starts_with('|');
        if !is_row {
            columns = None;
        }
        if let Some(heading) = line.strip_prefix("## ") {
            let _ =
                writeln!(page, ".SH {}", escaped_part(&heading.replace('`', "")).to_uppercase());
        } else if line.starts_with("# ") {
            // The name says it.
        } else if line.starts_with("<!--") {
            // Nobody sees it on the page either.
            if !line.contains("-->") {
                lines.by_ref().find(|line| line.contains("-->"));
            }
        } else if line.starts_with("```") {
            page.push_str(".PP\n.RS 4\n.nf\n");
            for line in lines.by_ref().take_while(|line| !line.starts_with("```")) {
                let _ = writeln!(page, "{}", escaped(line));
            }
            page.push_str(".fi\n.RE\n");
        } else if is_row {
            row(&mut page, &mut columns, line);
        } else if let Some(item) = line.strip_prefix("- ") {
            let _ = writeln!(page, ".IP \\(bu 2\n{}", inline(item));
        } else if !line.trim().is_empty() {
            if !in_paragraph {
                page.push_str(".PP\n");
            }
            let _ = writeln!(page, "{}", inline(line.trim()));
            in_paragraph = true;
            continue;
        }
        in_paragraph = false;
    }
    page.push_str(
        ".SH SEE ALSO\n.BR standin (1),\n.BR standin\\-run (1),\n.BR standin\\-check (1)\n",
    );
    page
}

/// A row of a table as a term and its meaning; what has a heading of its own is named by it.
fn row(page: &mut String, columns: &mut Option<Vec<String>>, line: &str) {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let Some(columns) = columns else {
        *columns = Some(cells.into_iter().map(str::to_owned).collect());
        return;
    };
    if cells.iter().all(|cell| cell.starts_with("--")) {
        return;
    }
    let _ = writeln!(page, ".TP\n{}", inline(cells[0]));
    for (position, cell) in cells.iter().enumerate().skip(1).filter(|(_, cell)| !cell.is_empty()) {
        let heading = columns.get(position).map_or("", String::as_str);
        // The first column says what the key takes, and nobody takes a meaning for anything else;
        // others need their heading.
        let plain = position == 1 || heading == "meaning";
        let named = if plain { String::new() } else { format!("{heading}: ") };
        let _ = writeln!(page, "{named}{}", inline(cell));
        if position + 1 < cells.len() && !cells[position + 1].is_empty() {
            page.push_str(".br\n");
        }
    }
}

/// Code and stress in bold, links by their text.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(position) = rest.find(['`', '[', '*']) {
        out.push_str(&escaped_part(&rest[..position]));
        rest = &rest[position..];
        let (open, close) = match rest.as_bytes()[0] {
            b'`' => ("`", "`"),
            b'[' => ("[", "]("),
            _ => ("**", "**"),
        };
        let inner = rest.strip_prefix(open).and_then(|inner| inner.split_once(close));
        let Some((inner, after)) = inner else {
            out.push_str(&escaped_part(&rest[..1]));
            rest = &rest[1..];
            continue;
        };
        if open == "[" {
            out.push_str(&inline(inner));
            rest = after.split_once(')').map_or("", |(_, after)| after);
        } else {
            let _ = write!(out, "\\fB{}\\fR", escaped_part(inner));
            rest = after;
        }
    }
    out.push_str(&escaped_part(rest));
    if out.starts_with(['.', '\'']) { format!("\\&{out}") } else { out }
}

fn escaped_part(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// A whole line that is shown as it is.
fn escaped(line: &str) -> String {
    let line = escaped_part(line);
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_our_page_has_its_macro() {
        let page = manual_page(
            "# Title\n<!-- mark -->\n<!-- lab\nx\n-->\n\nSay `a-b` or [more](x.md),\n**now**.\n\n## `[nodes]`\n\n| key | value | default | meaning |\n\
             |---|---|---|---|\n| `port` | a number | `1` | it |\n\n```toml\n.x = '\\'\n```\n- one\n",
        );
        for wanted in [
            ".PP\nSay \\fBa\\-b\\fR or more,\n\\fBnow\\fR.\n",
            ".SH [NODES]\n",
            ".TP\n\\fBport\\fR\na number\n.br\ndefault: \\fB1\\fR\n.br\nit\n",
            ".nf\n\\&.x = '\\e'\n.fi\n",
            ".IP \\(bu 2\none\n",
        ] {
            assert!(page.contains(wanted), "{wanted:?} in {page}");
        }
    }
}
