//! Letters with their places: logical lines out of a text, and words out of a line.
//!
//! A `#` or `!` outside quotes begins a comment, a `\` at the end of a line continues it. Words are
//! parted by spaces; a `"` or `'` keeps them together and is not part of the word. Braces outside
//! quotes stand alone, but for those of `${NAME}`.

use super::texts::{Fault, FileId, Place};

/// A letter, and the bytes it came from.
#[derive(Debug, Clone, Copy)]
pub struct Glyph {
    /// The letter.
    pub letter: char,
    /// The first byte.
    pub start: usize,
    /// The byte behind the last one.
    pub end: usize,
}

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Without its quotes.
    pub text: String,
    /// Where it is.
    pub place: Place,
    /// Whether any part of it was in quotes.
    pub is_quoted: bool,
}

impl Word {
    /// Whether it is this keyword; one in quotes is none.
    pub fn is(&self, keyword: &str) -> bool {
        !self.is_quoted && self.text == keyword
    }
}

/// The lines of a text without their comments; each with the lines that it goes on with.
pub fn logical_lines(text: &str) -> Vec<Vec<Vec<Glyph>>> {
    let mut lines = Vec::new();
    let mut current: Vec<Vec<Glyph>> = Vec::new();
    let mut quote = None;
    let mut start = 0;
    for physical in text.split_inclusive('\n') {
        let (glyphs, goes_on) = uncommented(physical, start, &mut quote);
        start += physical.len();
        current.push(glyphs);
        if !goes_on {
            lines.push(std::mem::take(&mut current));
            quote = None;
        }
    }
    if !current.is_empty() {
        lines.push(current);
    }
    lines
}

/// A line up to its comment, and whether the next one belongs to it.
fn uncommented(physical: &str, start: usize, quote: &mut Option<char>) -> (Vec<Glyph>, bool) {
    let content = physical.trim_end();
    let mut glyphs = Vec::with_capacity(content.len());
    let mut letters = content.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let glyph = Glyph { letter, start: start + at, end: start + at + letter.len_utf8() };
        match (letter, *quote) {
            ('\\', _) => match letters.next() {
                None => return (glyphs, true),
                // Outside quotes a backslash keeps a comment from beginning.
                Some((at, next @ ('#' | '!'))) if quote.is_none() => {
                    let end = start + at + next.len_utf8();
                    glyphs.push(Glyph { letter: next, end, ..glyph });
                }
                Some((at, next)) => {
                    let from = start + at;
                    glyphs.push(glyph);
                    glyphs.push(Glyph { letter: next, start: from, end: from + next.len_utf8() });
                }
            },
            ('#' | '!', None) => break,
            ('"' | '\'', None) => {
                *quote = Some(letter);
                glyphs.push(glyph);
            }
            (_, open) => {
                if open == Some(letter) {
                    *quote = None;
                }
                glyphs.push(glyph);
            }
        }
    }
    (glyphs, false)
}

/// The words of a line.
///
/// # Errors
/// A quote that is never closed.
pub fn split(file: FileId, line: &[Glyph]) -> Result<Vec<Word>, Fault> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut at = 0;
    while let Some(glyph) = line.get(at) {
        let place = Place { file, start: glyph.start, end: glyph.end };
        at += 1;
        match glyph.letter {
            quote @ ('"' | '\'') => {
                let word = begun(&mut word, place);
                word.is_quoted = true;
                at = quoted(line, at, quote, word).ok_or_else(|| {
                    Fault::new(place, format!("a {quote} that is never closed"))
                        .label("opened here")
                        .help("a quoted text ends on its line; a comment inside quotes is none")
                })?;
                word.place =
                    word.place.to(Place { file, start: place.start, end: line[at - 1].end });
            }
            brace @ ('{' | '}') if !in_variable(line, at - 1) => {
                words.extend(word.take());
                words.push(Word { text: brace.into(), place, is_quoted: false });
            }
            space if space.is_whitespace() => words.extend(word.take()),
            letter => {
                let word = begun(&mut word, place);
                word.text.push(letter);
                word.place = word.place.to(place);
            }
        }
    }
    words.extend(word.take());
    Ok(words)
}

fn begun(word: &mut Option<Word>, place: Place) -> &mut Word {
    word.get_or_insert_with(|| Word { text: String::new(), place, is_quoted: false })
}

/// Whether the brace at `at` belongs to a `${NAME}` that nothing was put in for.
fn in_variable(line: &[Glyph], at: usize) -> bool {
    let is_name = |glyph: &Glyph| glyph.letter.is_ascii_alphanumeric() || glyph.letter == '_';
    if line[at].letter == '{' {
        return at > 0 && line[at - 1].letter == '$';
    }
    let before = line[..at].iter().rposition(|glyph| !is_name(glyph));
    before.is_some_and(|open| line[open].letter == '{' && in_variable(line, open))
}

/// Reads up to the closing quote; gives the place behind it.
fn quoted(line: &[Glyph], from: usize, quote: char, word: &mut Word) -> Option<usize> {
    let mut at = from;
    while let Some(glyph) = line.get(at) {
        at += 1;
        match glyph.letter {
            letter if letter == quote => return Some(at),
            '\\' => at = escaped(line, at, word),
            letter => word.text.push(letter),
        }
    }
    None
}

/// Reads what follows a backslash, as in a shell's `$'…'`.
fn escaped(line: &[Glyph], from: usize, word: &mut Word) -> usize {
    let Some(glyph) = line.get(from) else { return from };
    let digits = |from: usize, radix: u32, most: usize| {
        let digits = line[from.min(line.len())..].iter().take(most);
        digits.take_while(move |glyph| glyph.letter.is_digit(radix)).count()
    };
    let number = |from: usize, count: usize, radix: u32| {
        let text: String = line[from..from + count].iter().map(|glyph| glyph.letter).collect();
        u32::from_str_radix(&text, radix).ok().and_then(char::from_u32).unwrap_or('?')
    };
    let simple = match glyph.letter {
        'a' => '\x07',
        'b' => '\x08',
        'E' => '\x1b',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' if digits(from + 1, 16, 6) > 0 => {
            let count = digits(from + 1, 16, 6);
            word.text.push(number(from + 1, count, 16));
            return from + 1 + count;
        }
        '0'..='7' => {
            let count = digits(from, 8, 3);
            word.text.push(number(from, count, 8));
            return from + count;
        }
        other => other,
    };
    word.text.push(simple);
    from + 1
}
