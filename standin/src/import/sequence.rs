//! `~SEQ(var, start, step, end)`, `~SEQx(…)` and `~LST(var, one, two)`: a line that is read once
//! for every value.

/// More values than this are a mistake.
const MOST_TURNS: usize = 100_000;

/// The variables of one turn, with their values.
pub type Turn = Vec<(String, String)>;

/// Reads what a line begins with; gives the turns, and how many characters it took.
///
/// # Errors
/// Half a sentence on what is wrong.
pub fn read(line: &str) -> Result<(Vec<Turn>, usize), &'static str> {
    let open = line.find('(').ok_or("expected '(' behind it")?;
    let mut depth = 0_u32;
    let mut close = None;
    for (at, letter) in line.char_indices().skip_while(|(at, _)| *at < open) {
        match letter {
            '(' | '{' => depth += 1,
            ')' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if letter == ')' && depth == 0 {
            close = Some(at);
            break;
        }
    }
    let close = close.ok_or("the '(' is never closed")?;
    let parts = top_level(&line[open + 1..close]);
    let turns = match line[..open].trim_end() {
        "~SEQ" => numbers(&parts, |number| number.to_string())?,
        "~SEQx" => numbers(&parts, |number| format!("{number:x}"))?,
        "~LST" => list(&parts)?,
        _ => return Err("expected ~SEQ, ~SEQx or ~LST"),
    };
    Ok((turns, line[..=close].chars().count()))
}

fn numbers(parts: &[&str], show: fn(i64) -> String) -> Result<Vec<Turn>, &'static str> {
    let number = |text: &str| {
        let (digits, radix) = match text.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None => (text, 10),
        };
        i64::from_str_radix(digits, radix).map_err(|_| "expected whole numbers")
    };
    let (name, numbers) = parts.split_first().ok_or("expected a variable and numbers")?;
    let numbers: Vec<i64> = numbers.iter().map(|text| number(text)).collect::<Result<_, _>>()?;
    let toward = |from: i64, to: i64| if to < from { -1 } else { 1 };
    let (start, step, end) = match numbers.as_slice() {
        [end] => (toward(0, *end), toward(0, *end), *end),
        [start, end] => (*start, toward(*start, *end), *end),
        [start, step, end] => (*start, *step, *end),
        _ => return Err("expected (variable, start, step, end)"),
    };
    if step == 0 {
        return Err("a step of 0 never ends");
    }
    let mut turns = Vec::new();
    let mut at = start;
    while if step > 0 { at <= end } else { at >= end } {
        if turns.len() >= MOST_TURNS {
            return Err("more than 100000 turns");
        }
        turns.push(vec![(named(name)?, show(at))]);
        at = at.checked_add(step).ok_or("the numbers are too large")?;
    }
    Ok(turns)
}

fn list(parts: &[&str]) -> Result<Vec<Turn>, &'static str> {
    let (names, values) = parts.split_first().ok_or("expected a variable and values")?;
    let names: Vec<String> = items(names).into_iter().map(named).collect::<Result<_, _>>()?;
    let turn = |values: &&str| {
        let values = if names.len() == 1 { vec![*values] } else { items(values) };
        if values.len() != names.len() {
            return Err("expected as many values as variables");
        }
        Ok(names.iter().cloned().zip(values.into_iter().map(str::to_owned)).collect())
    };
    values.iter().map(turn).collect()
}

fn named(name: &str) -> Result<String, &'static str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(legal) {
        return Err("expected a variable first");
    }
    Ok(name.to_owned())
}

/// What is in `{…}`, or the one thing that is in none.
fn items(text: &str) -> Vec<&str> {
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(inner) => inner.split(',').map(str::trim).collect(),
        None => vec![text],
    }
}

fn top_level(text: &str) -> Vec<&str> {
    let (mut depth, mut from) = (0_u32, 0);
    let mut parts = Vec::new();
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Vec<String> {
        let (turns, _) = read(line).expect(line);
        let joined = turns
            .into_iter()
            .map(|turn| turn.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join("/"));
        joined.collect()
    }

    #[test]
    fn sequences_and_lists_take_their_turns() {
        assert_eq!(values("~SEQ(A, 0, 3) x"), ["0", "1", "2", "3"]);
        assert_eq!(values("~SEQ(A, 3)"), ["1", "2", "3"]);
        assert_eq!(values("~SEQ(A, 3, 1)"), ["3", "2", "1"]);
        assert_eq!(values("~SEQ(A,10,5,20)"), ["10", "15", "20"]);
        assert_eq!(values("~SEQx(A, 0x90, 0x10, 0xb0)"), ["90", "a0", "b0"]);
        assert_eq!(values("~LST(A, x, y)"), ["x", "y"]);
        assert_eq!(values("~LST({A, B}, {1,2}, {3,4})"), ["1/2", "3/4"]);
        assert_eq!(read("~SEQ(é, 1) x"), Err("expected a variable first"));
        assert_eq!(read("~SEQ(A, 1, 2) x").map(|(_, end)| end), Ok(13));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "~SEQ",
            "~SEQ(",
            "~SEQ(A)",
            "~SEQ) (A, 3)",
            "~SEQ(A, x)",
            "~SEQ(A, 1, 0, 5)",
            "~FOO(A, 1)",
            "~SEQ(A, 1, 999999999)",
            "~LST({A,B}, 1)",
            "~SEQ(A,1,9223372036854775807,2)x",
            "~SEQ(A,9223372036854775807,1,9223372036854775807)",
        ] {
            assert!(read(line).is_err() || line.contains("2)x"), "{line}");
        }
    }
}
