//! Statements and blocks, out of lines of words.
//!
//! A statement is a line; a `{` at its end, or alone on the next line, begins a block. Never knows
//! what a keyword means, except for those that stand at the top: one inside a block tells where a
//! `}` was forgotten.

use super::expand::Line;
use super::keywords;
use super::texts::{Fault, Place};
use super::words::Word;

/// Blocks in blocks; keepalived itself has five levels.
const DEEPEST: usize = 32;

/// A keyword with its values, and perhaps a block.
#[derive(Debug, Clone)]
pub struct Statement {
    /// At least one.
    pub words: Vec<Word>,
    /// What stands between its braces.
    pub block: Option<Vec<Statement>>,
    /// From the first word to the last one, or to the closing brace.
    pub place: Place,
}

impl Statement {
    /// The keyword.
    pub fn keyword(&self) -> &str {
        self.words.first().map_or("", |word| word.text.as_str())
    }

    /// Where its first line is.
    pub fn head(&self) -> Place {
        let mut words = self.words.iter().map(|word| word.place);
        let first = words.next().unwrap_or(self.place);
        words.fold(first, Place::to)
    }

    /// The words behind the keyword.
    pub fn values(&self) -> &[Word] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The statements of its block; none without one.
    pub fn body(&self) -> &[Statement] {
        self.block.as_deref().unwrap_or_default()
    }
}

struct Frame {
    words: Vec<Word>,
    open: Place,
    body: Vec<Statement>,
}

/// Builds the statements.
///
/// # Errors
/// A brace that is not closed, or closes nothing.
pub fn build(lines: Vec<Line>) -> Result<Vec<Statement>, Fault> {
    let mut builder = Builder::default();
    for line in lines {
        for word in line.words {
            builder.take(word)?;
        }
        builder.end_line();
    }
    builder.finish()
}

#[derive(Default)]
struct Builder {
    /// The blocks that are open, from the outermost.
    open: Vec<Frame>,
    top: Vec<Statement>,
    words: Vec<Word>,
    /// A keyword of the top, inside a block.
    astray: Option<Place>,
}

impl Builder {
    fn take(&mut self, word: Word) -> Result<(), Fault> {
        if word.is("{") {
            return self.begin(&word);
        }
        if !word.is("}") {
            self.words.push(word);
            return Ok(());
        }
        self.end_line();
        let Some(frame) = self.open.pop() else {
            return Err(Fault::new(word.place, "this } closes nothing")
                .label("no block is open here")
                .help("a block ends too early above, or this brace is one too many"));
        };
        let first = frame.words.first().map_or(frame.open, |word| word.place);
        let place = first.to(word.place);
        self.body().push(Statement { words: frame.words, block: Some(frame.body), place });
        Ok(())
    }

    fn begin(&mut self, brace: &Word) -> Result<(), Fault> {
        let mut words = std::mem::take(&mut self.words);
        if words.is_empty() {
            // The name stands on the line above.
            if self.body().last().is_some_and(|last| last.block.is_none()) {
                words = self.body().pop().map(|last| last.words).unwrap_or_default();
            } else {
                return Err(Fault::new(brace.place, "a block without a name")
                    .label("expected a keyword before it"));
            }
        } else {
            self.look_for_astray(&words);
        }
        if self.open.len() >= DEEPEST {
            return Err(Fault::new(brace.place, "blocks too deep in each other"));
        }
        self.open.push(Frame { words, open: brace.place, body: Vec::new() });
        Ok(())
    }

    fn look_for_astray(&mut self, words: &[Word]) {
        if !self.open.is_empty()
            && self.astray.is_none()
            && words.len() == 2
            && words.first().is_some_and(|word| keywords::is_named_block(&word.text))
        {
            self.astray = words.first().map(|word| word.place);
        }
    }

    fn body(&mut self) -> &mut Vec<Statement> {
        match self.open.last_mut() {
            Some(frame) => &mut frame.body,
            None => &mut self.top,
        }
    }

    fn end_line(&mut self) {
        let words = std::mem::take(&mut self.words);
        let Some(first) = words.first() else { return };
        let place = words.iter().fold(first.place, |all, word| all.to(word.place));
        self.body().push(Statement { words, block: None, place });
    }

    fn finish(self) -> Result<Vec<Statement>, Fault> {
        let Some(frame) = self.open.first() else { return Ok(self.top) };
        let name = frame.words.first().map_or("a block", |word| word.text.as_str());
        let fault = Fault::new(frame.open, format!("the {{ of {name} is never closed"))
            .label("opened here")
            .help("every { needs its }");
        Err(match self.astray {
            Some(place) => fault.with(place, "this should begin outside: a } is missing before it"),
            None => fault,
        })
    }
}
