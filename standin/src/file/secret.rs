//! What in a configuration file must not be shown: the credentials and the query of a URL, and of
//! that of a webhook everything after the host.

/// The text with every URL's `user:password` and query, and a webhook's path, replaced by stars,
/// byte for byte, so that places in it stay where they are.
pub fn masked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let start = from + found + 3;
        // A quoted URL ends with its quote, any URL with its line; a space in that of a webhook may
        // be part of a secret.
        let of_webhook = is_webhook(&text[..from + found]);
        let ends: &[char] =
            if of_webhook { &['"', '\'', '\n', '\r'] } else { &['"', '\'', '\n', '\r', ' ', '\t'] };
        let end = text[start..].find(ends).map_or(text.len(), |length| start + length);
        let url = &text[start..end];
        let credentials = url.rfind('@').unwrap_or(0);
        let shown: &[char] = if of_webhook { &['/', '?', '#'] } else { &['?'] };
        let query = url[credentials..].find(shown).map_or(url.len(), |at| credentials + at + 1);
        for byte in &mut bytes[start..start + credentials] {
            *byte = b'*';
        }
        for byte in &mut bytes[start + query..end] {
            *byte = b'*';
        }
        from = end;
    }
    // Whole stretches between ASCII characters were replaced by ASCII: it is still UTF-8.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Whether a URL that comes next, but for its scheme, is the value of `url`: chat services hand out
/// URLs whose path is the secret.
fn is_webhook(before: &str) -> bool {
    let before = before.trim_end_matches(|letter: char| letter.is_ascii_alphanumeric());
    let before = before.trim_end_matches(['"', '\'']).trim_end();
    let Some(key) = before.strip_suffix('=') else { return false };
    key.trim_end().trim_end_matches(['"', '\'']).ends_with("url")
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn credentials_and_queries_become_stars_of_the_same_length() {
        for (text, shown) in [
            ("http = \"http://u:p@web/\"", "http = \"http://***@web/\""),
            ("http = 'https://ü:p/x@web/?a=b' # c", "http = 'https://******@web/?***' # c"),
            ("http = \"http://{vip}/\"\n", "http = \"http://{vip}/\"\n"),
            ("a://b:c@d e://f@g", "a://***@d e://*@g"),
            ("http://?x?y@", "http://****@"),
            ("url = \"https://u:p@web/T0/B1\"", "url = \"https://***@web/*****\""),
            ("[{url=\"https://web/T0?x\"}]", "[{url=\"https://web/****\"}]"),
            ("url = 'https://web/a b'", "url = 'https://web/***'"),
            ("\"url\" = 'https://web'", "\"url\" = 'https://web'"),
            ("://", "://"),
        ] {
            assert_eq!(masked(text), shown);
            assert_eq!(masked(text).len(), text.len());
        }
    }
}
