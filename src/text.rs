//! Text from outside, made safe to show.

use crate::{Error, Result};
use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

/// `text` with every control character made visible, so that no escape sequence in a model name,
/// a data set or a generated summary reaches the terminal. Newlines and tabs become `↵` and a
/// space; bidirectional overrides and other invisible format characters become `\u{…}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push('↵'),
            '\t' => out.push(' '),
            c if is_hostile(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// As [`printable`], but line breaks stay: for text that is wrapped on screen.
pub fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// `value` as JSON over several lines. What [`printable`] would make visible is escaped as JSON has it: for programs it
/// stays what it is, and it reaches no terminal.
///
/// # Errors
/// When it cannot be said in JSON.
pub fn json(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::fault(e.to_string()))?;
    let hostile = |c: char| c != '\n' && is_hostile(c);
    if !text.contains(hostile) {
        return Ok(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if hostile(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Ok(out)
}

/// A path as a text of JSON, which has Unicode only: other bytes are replaced, where serde would give up on the whole.
///
/// # Errors
/// Those of the serializer.
pub fn path_as_text<S: serde::Serializer>(path: &Path, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// A number and what it counts: `1 adapter`, `2 adapters`.
pub fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A large number, short: `40.1M`, `1.2B`.
pub fn short(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.0}k", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}M", n as f64 / 1e6),
        _ => format!("{:.1}B", n as f64 / 1e9),
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The line, from 1, of the byte at `at`.
pub fn line_at(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        )
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_short() {
        assert_eq!([5, 40_100_000, 1_236_000_000].map(short), ["5", "40.1M", "1.2B"]);
    }

    #[test]
    fn escape_sequences_become_visible() {
        assert_eq!(printable("a\x1b[31mb"), "a\\u{1b}[31mb");
        assert_eq!(printable("\u{9b}2J"), "\\u{9b}2J");
        assert_eq!(printable("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(printable("one\ntwo\tthree"), "one↵two three");
    }

    #[test]
    fn json_stays_json_whatever_is_in_its_texts() {
        let texts = ["plain é \\ \"", "zero\u{200b}width \u{feff}mark \u{ad}", "\u{9b}2J \u{202e} \u{7f}\n\t\u{e0041}"];
        let text = json(&texts).unwrap();
        assert_eq!(printable_lines(&text), text, "nothing is left to escape");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), texts);
        assert!(text.contains("zero\\u200bwidth") && text.contains("\\udb40\\udc41"), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_unicode_is_told_as_well_as_can_be() {
        use std::os::unix::ffi::OsStrExt;
        #[derive(serde::Serialize)]
        struct Entry {
            #[serde(serialize_with = "path_as_text")]
            path: std::path::PathBuf,
        }
        let path = std::path::PathBuf::from(std::ffi::OsStr::from_bytes(b"a/\xff b"));
        assert_eq!(serde_json::to_string(&Entry { path }).unwrap(), "{\"path\":\"a/\u{fffd} b\"}");
    }

    #[test]
    fn plain_text_of_any_language_is_untouched() {
        assert!(matches!(printable("重要度 é 👩\u{200d}💻"), Cow::Borrowed(_)));
    }
}
