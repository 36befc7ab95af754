//! What the TOML reader found wrong, as one sentence with its line.

use crate::Error;
use crate::text::printable;

/// A longer source line is shown by its beginning.
const SHOWN: usize = 60;

/// The sentence for `error`, found in `text`: line, what stands there, what is wrong.
pub(crate) fn sentence(text: &str, error: &toml::de::Error) -> Error {
    let what = what(error);
    // A key that the whole file lacks has no line.
    let missing_at_top = |start| start == 0 && error.message().starts_with("missing field");
    let Some(start) = error.span().map(|s| s.start).filter(|s| !missing_at_top(*s)) else {
        return Error::user(what);
    };
    let before = text.get(..start.min(text.len())).unwrap_or(text);
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    if line.is_empty() {
        return Error::user(format!("line {number}: {what}"));
    }
    let mut shown: String = line.chars().take(SHOWN).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    Error::user(format!("line {number}, {}: {what}", printable(&shown)))
}

/// What is wrong, without its place.
pub(super) fn what(error: &toml::de::Error) -> String {
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    printable(&reworded(&message)).into_owned()
}

/// serde's words for types and fields, as a user of TOML knows them.
fn reworded(message: &str) -> String {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let expected = expected.strip_prefix("one of ").unwrap_or(expected);
    if let Some(key) = what.strip_prefix("missing field ") {
        return format!("the key {key} is missing");
    }
    if let Some(key) = what.strip_prefix("unknown field ") {
        return format!("the key {key} is not known here; known are {expected}");
    }
    if let Some(word) = what.strip_prefix("unknown variant ") {
        return format!("{word} is not known here; use {expected}");
    }
    let Some(found) = what.strip_prefix("invalid type: ").or_else(|| what.strip_prefix("invalid value: ")) else {
        return message.to_owned();
    };
    let needed = match expected {
        "f64" | "f32" => "a number",
        "u8" | "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "a string" => "text in quotes",
        "path string" => "a path in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "string or table" => "one word in quotes",
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("an array of length 2") => "a list of two numbers",
        other => other,
    };
    let found = match found.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        Some(("integer", number)) => format!("the whole number {number}"),
        Some(("floating", rest)) => format!("the number {}", rest.trim_start_matches("point ")),
        Some(("boolean", value)) => value.to_owned(),
        _ if found == "sequence" => "a list".to_owned(),
        _ if found == "map" => "a table".to_owned(),
        _ => found.to_owned(),
    };
    format!("{found} stands where {needed} is needed")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::recipe::Recipe;

    const GOOD: &str =
        "base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\n[[adapters]]\nname = 'x'\nrole = 'target'\n[train]\nlr = 1e-4\n";

    fn refused(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from));
        let error = Recipe::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        text
    }

    #[test]
    fn one_sentence_names_line_and_key() {
        Recipe::parse(GOOD).unwrap();
        for (from, to, want) in [
            ("lr = 1e-4", "lr = 'fast'", "line 9, lr = 'fast': the text \"fast\" stands where a number is needed"),
            ("lr = 1e-4", "epochs = 1.5", "line 9, epochs = 1.5: the number `1.5` stands where a whole number"),
            ("lr = 1e-4", "epochs = -1", "line 9, epochs = -1: the whole number `-1` stands where a whole number"),
            ("lr = 1e-4", "[prune]\nhold = 1", "line 10, hold = 1: the whole number `1` stands where true or false"),
            ("lr = 1e-4", "betas = 0.9", "line 9, betas = 0.9: the number `0.9` stands where a list of two numbers"),
            ("lr = 1e-4", "lr_max = 1", "line 9, lr_max = 1: the key `lr_max` is not known here; known are `epochs`"),
            ("lr = 1e-4", "optimizer = 'adam'", "line 9, optimizer = 'adam': `adam` is not known here; use `adamw`"),
            ("lr = 1e-4", "lr = ", "line 9, lr ="),
            ("dev = 'd'", "", "line 2, [data]: the key `dev` is missing"),
            ("base = 'b'", "", "the key `base` is missing"),
            ("base = 'b'", "base = 5", "line 1, base = 5: the whole number `5` stands where a path in quotes"),
            ("base = 'b'", "base = 'b'\nbase = 'c'", "line 2, base = 'c': duplicate key"),
            ("'target'", "'main'", "line 7, role = 'main': `main` is not known here; use `target` or `related`"),
            ("[train]", "[trian]", "line 8, [trian]: the key `trian` is not known here; known are `name`"),
            ("'b'", "\"\\u001b[2J", "line 1, base = \"\\u001b[2J: "),
        ] {
            let text = refused(from, to);
            assert!(text.starts_with(want), "{to}: {text}");
        }
    }

    #[test]
    fn an_escape_sequence_in_a_key_is_not_repeated_raw() {
        assert!(refused("lr = 1e-4", "\"\\u001b[2J\" = 1").contains("not known here"));
        assert!(refused("lr = 1e-4", "lr = \u{202e}1").contains("line 9"));
    }

    #[test]
    fn numbers_out_of_range_name_their_key() {
        for (to, want) in [
            ("lr = 0.0", "train.lr = 0: a number above 0 is needed"),
            ("lr = nan", "train.lr = NaN: a number above 0 is needed"),
            ("warmup = 2", "train.warmup = 2: a share from 0.0 to 1.0 is needed"),
            ("batch = 0", "train.batch = 0: at least 1 is needed"),
            ("clip = -1.0", "train.clip = -1: 0 or more is needed"),
            ("betas = [0.9, 1.0]", "train.betas[1] = 1: a number from 0.0 to below 1.0"),
        ] {
            assert!(refused("lr = 1e-4", to).starts_with(want), "{to}");
        }
        assert!(refused("role = 'target'", "role = 'target'\nalpha = inf").contains("alpha = inf: a number above 0"));
        assert!(refused("role = 'target'", "role = 'related'").contains("0 adapters have role"));
    }
}
