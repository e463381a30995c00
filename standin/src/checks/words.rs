//! A command line split into words as a shell would, without the shell.
//!
//! Quotes and backslashes mean what they mean in `sh`; variables, globs, pipes and `;` mean
//! nothing here, so a check cannot run more than the one program it names.

/// Splits `text` into words.
///
/// # Errors
/// A sentence naming the quote or backslash that is left open.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(quoted) => word.push(quoted),
                        None => return Err("a ' is never closed".into()),
                    }
                }
            }
            '"' => double_quoted(&mut letters, word.get_or_insert_default())?,
            '\\' => match letters.next() {
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("it ends with a lone backslash".into()),
            },
            space if space.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The rest of a `"…"`: a backslash escapes only `"`, `\`, `$` and the backquote.
fn double_quoted(letters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match letters.next() {
            Some('"') => return Ok(()),
            Some('\\') => match letters.next() {
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => return Err("a \" is never closed".into()),
            },
            Some(quoted) => word.push(quoted),
            None => return Err("a \" is never closed".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_quotes_and_escapes_are_read_as_in_a_shell() {
        for (text, words) in [
            ("/bin/true", &["/bin/true"][..]),
            ("  a   b\tc ", &["a", "b", "c"]),
            (r#"say "two words" 'and "more"'"#, &["say", "two words", r#"and "more""#]),
            (r#"a\ b "c\"d" "e\f" 'g\h'"#, &["a b", "c\"d", "e\\f", "g\\h"]),
            ("'' \"\"", &["", ""]),
            ("a'b'\"c\"d", &["abcd"]),
            ("echo $HOME; ls *", &["echo", "$HOME;", "ls", "*"]),
            ("", &[]),
        ] {
            assert_eq!(split(text).expect(text), words, "{text}");
        }
    }

    #[test]
    fn what_is_left_open_is_named() {
        assert_eq!(split("a 'b"), Err("a ' is never closed".into()));
        assert_eq!(split("a \"b"), Err("a \" is never closed".into()));
        assert_eq!(split("a \"b\\"), Err("a \" is never closed".into()));
        assert_eq!(split("a \\"), Err("it ends with a lone backslash".into()));
    }
}
