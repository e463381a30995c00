//! What in a configuration file must not be shown: the credentials and the query of a URL.

/// The text with every URL's `user:password` and query replaced by stars, byte for byte, so that
/// places in it stay where they are.
pub fn masked(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let start = from + found + 3;
        // A quoted URL ends with its quote, any URL with its line.
        let end = text[start..]
            .find(['"', '\'', '\n', '\r', ' ', '\t'])
            .map_or(text.len(), |length| start + length);
        let url = &text[start..end];
        let credentials = url.rfind('@').unwrap_or(0);
        let query = url[credentials..].find('?').map_or(url.len(), |at| credentials + at + 1);
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
            ("://", "://"),
        ] {
            assert_eq!(masked(text), shown);
            assert_eq!(masked(text).len(), text.len());
        }
    }
}
