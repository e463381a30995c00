//! Keys, from what a terminal sends for them.

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// To the first row.
    Home,
    /// To the last row.
    End,
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Ctrl-C or Ctrl-D.
    Interrupt,
    /// Something that prints.
    Character(char),
}

/// The keys behind what was read at once. What no key is known for is left out.
pub fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let key = match first {
            0x1b if matches!(rest.first(), Some(b'[' | b'O')) => {
                // ECMA-48: parameters and intermediates, then one final byte.
                let length = rest[1..].iter().position(|byte| (0x40..0x7f).contains(byte));
                let Some(length) = length else { break };
                let (sequence, after) = rest[1..].split_at(length + 1);
                rest = after;
                sequence_key(sequence)
            }
            0x1b => Some(Key::Escape),
            3 | 4 => Some(Key::Interrupt),
            b'\r' | b'\n' => Some(Key::Enter),
            b'\t' => Some(Key::Down),
            0x20..0x7f => Some(Key::Character(char::from(first))),
            _ => None,
        };
        found.extend(key);
    }
    found
}

fn sequence_key(sequence: &[u8]) -> Option<Key> {
    match sequence {
        // Shift and tab, too.
        b"A" | b"Z" => Some(Key::Up),
        b"B" => Some(Key::Down),
        b"H" | b"1~" | b"7~" => Some(Key::Home),
        b"F" | b"4~" | b"8~" => Some(Key::End),
        b"5~" => Some(Key::PageUp),
        b"6~" => Some(Key::PageDown),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_and_what_is_none_is_left_out() {
        use Key::{Character, Down, End, Enter, Escape, Home, Interrupt, PageDown, Up};
        for (bytes, wanted) in [
            (&b"jk"[..], &[Character('j'), Character('k')][..]),
            (b"\x1b[A\x1bOB\x1b[6~", &[Up, Down, PageDown]),
            (b"\x1b[H\x1b[4~\r", &[Home, End, Enter]),
            (b"\x1b", &[Escape]),
            (b"\x1bq", &[Escape, Character('q')]),
            (b"\x03", &[Interrupt]),
            (b"\x1b[1;5C\x00\xc3\xbcx", &[Character('x')]),
            (b"\x1b[1;", &[]),
        ] {
            assert_eq!(keys(bytes), wanted, "{bytes:?}");
        }
    }
}
