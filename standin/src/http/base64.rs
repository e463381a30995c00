//! Base64 read back (RFC 4648, section 4), for the password that a browser sends.

/// The bytes; none when it is not Base64. Padding may be left out.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let mut bytes = Vec::with_capacity(end * 3 / 4);
    for group in text[..end].chunks(4) {
        let mut bits = 0_u32;
        for byte in group {
            bits = bits << 6 | u32::from(value(*byte)?);
        }
        let whole = group.len() * 6 / 8;
        if whole == 0 {
            return None;
        }
        bits <<= 32 - group.len() * 6;
        bytes.extend_from_slice(&bits.to_be_bytes()[..whole]);
    }
    Some(bytes)
}

fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn what_was_encoded_comes_back() {
        for (text, plain) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYg", b"foob"),
            ("//79", b"\xff\xfe\xfd"),
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(plain), "{text}");
        }
        for nonsense in ["Z", "Zm9vY", "Zm 9", "Zm=v", "-_-_"] {
            assert_eq!(decode(nonsense.as_bytes()), None, "{nonsense}");
        }
    }
}
