//! Durations as people write them: `20ms`, `1.5s`, `2m`, `1h`.
//!
//! A duration always carries its unit, because `--dead-after 5` would be five seconds to one
//! reader and five milliseconds to the next. The parser is exact (integers in nanoseconds, no
//! floats).

use std::time::Duration;

/// The units and their nanoseconds.
const UNITS: [(&str, u128); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration.
///
/// # Errors
/// A sentence that says what is wrong and how it should look.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.is_empty() {
        if text.starts_with('-') {
            return Err("a duration cannot be negative".into());
        }
        return Err("a duration is a number and a unit, such as 20ms, 1.5s or 2m".into());
    }
    let unit = unit.trim();
    if unit.is_empty() {
        return Err(format!("the unit is missing: say {number}s or {number}ms"));
    }
    let unit = if unit == "µs" { "us" } else { unit };
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(unknown_unit(number, unit));
    };
    let nanos = scaled(number, *scale)
        .ok_or_else(|| format!("'{number}' is not a number such as 1 or 1.5"))?;
    let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| "too long".to_string())?;
    let rest = u32::try_from(nanos % 1_000_000_000).map_err(|_| "too long".to_string())?;
    Ok(Duration::new(seconds, rest))
}

/// Says what is wrong with what stands behind the first number.
fn unknown_unit(number: &str, unit: &str) -> String {
    if let Some(fraction) = unit.strip_prefix(',') {
        return format!("a fraction has a point: {number}.{fraction}");
    }
    if unit.contains(|c: char| c.is_ascii_digit()) {
        return "expected one number with one unit: 90m, not 1h30m".into();
    }
    format!("unknown unit '{unit}': use us, ms, s, m or h")
}

/// `number` (digits with at most one point) times `scale`, exact; digits below a nanosecond are
/// cut off.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.chars() {
        place /= 10;
        nanos = nanos.checked_add(u128::from(digit.to_digit(10)?) * place)?;
    }
    Some(nanos)
}

/// A duration as a person would write it: `20 ms` as `20ms`, `1500 ms` as `1.5s`.
pub fn show(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".into();
    }
    let (name, scale) = if nanos >= 1_000_000_000 {
        ("s", 1_000_000_000)
    } else if nanos >= 1_000_000 {
        ("ms", 1_000_000)
    } else {
        ("us", 1_000)
    };
    let thousandths = (nanos % scale) * 1000 / scale;
    let text = format!("{}.{thousandths:03}", nanos / scale);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_fractions_are_read_exactly() {
        for (text, nanos) in [
            ("1s", 1_000_000_000),
            ("20ms", 20_000_000),
            ("1.5s", 1_500_000_000),
            ("2m", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("0.1ms", 100_000),
            (".5s", 500_000_000),
            ("250us", 250_000),
            ("3 s", 3_000_000_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text).map(|d| d.as_nanos()), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn a_missing_unit_is_named_and_suggested() {
        assert_eq!(parse("5"), Err("the unit is missing: say 5s or 5ms".into()));
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        for text in ["", "s", "fast", "-1s", "1.2.3s", ".", "1x", "1sec", ".s"] {
            let error = parse(text).expect_err(text);
            assert!(!error.is_empty());
        }
        assert!(parse("99999999999999999999999999999999999999h").is_err());
        for (text, why) in [("1h30m", "one unit"), ("1m 30s", "one unit"), ("1,5s", "point: 1.5s")]
        {
            let error = parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
        assert_eq!(parse("10sec"), Err("unknown unit 'sec': use us, ms, s, m or h".into()));
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["20ms", "1.5s", "1s", "120s", "250us", "0s", "1.001s"] {
            assert_eq!(show(parse(text).expect("a duration")), text);
        }
    }
}
