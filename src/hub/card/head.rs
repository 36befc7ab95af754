//! What of a card is shown on a screen of plain text.

use crate::text::printable;
use regex::Regex;
use std::sync::LazyLock;

/// The text of a card without its YAML header, for a screen of plain text: no markup that means nothing there, at most
/// `lines` lines.
pub fn head(card: &str, lines: usize) -> String {
    let body =
        card.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---").map(|(_, body)| body)).unwrap_or(card);
    let mut out: Vec<String> = Vec::new();
    let mut is_comment = false;
    for text in body.lines().map(str::trim_end) {
        if is_comment || text.trim_start().starts_with("<!--") {
            is_comment = !text.contains("-->");
            continue;
        }
        let text = plain(text);
        if text.is_empty() && out.last().is_none_or(String::is_empty) {
            continue;
        }
        out.push(text);
        if out.len() == lines {
            break;
        }
    }
    out.join("\n").trim_end().to_owned()
}

/// A line of Markdown as plain text: no pictures, no tags, of a link its words.
fn plain(text: &str) -> String {
    static MARKUP: LazyLock<Option<[Regex; 3]>> = LazyLock::new(|| {
        let all = [r"!\[[^\]]*\]\([^)]*\)|<[^>]*>", r"\[([^\]]*)\]\([^)]*\)", r"\*\*|__|`"].map(Regex::new);
        let [Ok(dropped), Ok(link), Ok(mark)] = all else { return None };
        Some([dropped, link, mark])
    });
    let Some([dropped, link, mark]) = MARKUP.as_ref() else { return printable(text).into_owned() };
    let text = dropped.replace_all(text, "");
    let text = link.replace_all(&text, "$1");
    let text = mark.replace_all(&text, "");
    printable(text.trim_start_matches('#').trim()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::head;

    #[test]
    fn a_card_becomes_plain_text() {
        let card = "---\nlicense: mit\ntags: [a]\n---\n\n<!-- made by\na tool -->\n# A **small** model\n\n\n\n\
                    [![badge](https://a/b.svg)](https://a)\n<p align=\"center\">Trained on [news](https://n) with `peft`.</p>\n\
                    \u{1b}]0;owned\u{7}\nlast\n";
        let text = head(card, 10);
        assert_eq!(text, "A small model\n\nTrained on news with peft.\n\\u{1b}]0;owned\\u{7}\nlast");
        assert_eq!(head(card, 2), "A small model");
        assert_eq!(head("no header", 3), "no header");
        // A rule is no header.
        assert_eq!(head("---\nfoo", 3), "---\nfoo");
    }
}
