//! What changed from one text to the next, word by word.

use similar::{Algorithm, DiffTag, capture_diff_slices};
use unicode_segmentation::UnicodeSegmentation;

/// Words above which two texts are not compared: it would take longer than a frame.
const MOST: usize = 4000;

/// A piece of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// In both.
    Same(String),
    /// Only in the old text.
    Removed(String),
    /// Only in the new text.
    Added(String),
}

/// The pieces of `new` in order, what was removed from `old` before what took its place; `None` where both are
/// too long.
pub fn words(old: &str, new: &str) -> Option<Vec<Piece>> {
    let split = |text| -> Vec<&str> { str::split_word_bounds(text).collect() };
    let (before, after) = (split(old), split(new));
    if before.len() > MOST || after.len() > MOST {
        return None;
    }
    let ops = capture_diff_slices(Algorithm::Myers, &before, &after);
    let (mut pieces, mut removed, mut added) = (Vec::new(), String::new(), String::new());
    for (i, op) in ops.iter().enumerate() {
        let (gone, come) = (before[op.old_range()].concat(), after[op.new_range()].concat());
        let last = i + 1 == ops.len();
        // A space between two changed words belongs to the change.
        let joins = come.trim().is_empty() && !last && !(removed.is_empty() && added.is_empty());
        if op.tag() == DiffTag::Equal && !joins {
            flush(&mut pieces, &mut removed, &mut added);
            pieces.push(Piece::Same(come));
        } else {
            removed.push_str(&gone);
            added.push_str(&come);
        }
    }
    flush(&mut pieces, &mut removed, &mut added);
    Some(pieces)
}

fn flush(pieces: &mut Vec<Piece>, removed: &mut String, added: &mut String) {
    for (text, piece) in [(removed, Piece::Removed as fn(String) -> Piece), (added, Piece::Added)] {
        if !text.is_empty() {
            pieces.push(piece(std::mem::take(text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_changed_stand_together() {
        let piece = |p: &Piece| match p {
            Piece::Same(t) => format!("={t}"),
            Piece::Removed(t) => format!("-{t}"),
            Piece::Added(t) => format!("+{t}"),
        };
        let all = |old, new| words(old, new).unwrap_or_default().iter().map(piece).collect::<Vec<_>>();
        assert_eq!(all("a game with balls", "a game about red balls"), ["=a game ", "-with", "+about red", "= balls"]);
        assert_eq!(all("same", "same"), ["=same"]);
        assert_eq!(all("", "new"), ["+new"]);
        assert_eq!(all("old words", ""), ["-old words"]);
        assert_eq!(all("重要度が低い", "重要度は低い").concat(), "=重要度-が+は=低い");
        assert!(words(&"a b ".repeat(4000), "a").is_none());
    }
}
