//! Text from outside in Markdown, HTML and LaTeX: what each would read as its own is written so that it shows. Control
//! characters and line breaks are made visible before, by [`crate::text::printable`].

/// As a cell or a line of Markdown: no markup, no tag, no entity, and no end of the cell.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let all: Vec<char> = text.chars().collect();
    for (at, c) in all.iter().copied().enumerate() {
        let before = at.checked_sub(1).map(|at| all[at]);
        let next = all.get(at + 1).copied();
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_own = match c {
            '|' | '*' | '`' | '[' | '~' => true,
            // Before other characters it stands for itself; the last one would take what comes behind the text.
            '\\' => next.is_none_or(|c| c.is_ascii_punctuation()),
            // Within a word it is no emphasis.
            '_' => !(is_word(before) && is_word(next)),
            '<' | '>' => at == 0 || next.is_none_or(|c| !c.is_whitespace()),
            '&' => next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '#'),
            // A heading, a list.
            '#' | '+' | '-' => at == 0 && next.is_some_and(|c| !c.is_ascii_digit()),
            _ => false,
        };
        if is_own {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// As text or an attribute in double quotes of HTML.
pub fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// As text of LaTeX. The first of a row too: behind `\\` a bracket would be a length, an asterisk a command's.
pub fn latex(text: &str) -> String {
    let mut out = String::from(if text.starts_with(['[', '*']) { "{}" } else { "" });
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '±' => out.push_str("$\\pm$"),
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            '|' => out.push_str("$|$"),
            '↵' => out.push_str("$\\hookleftarrow$"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::printable;

    #[test]
    fn markdown_shows_a_text_as_it_is() {
        for (text, want) in [
            ("merge + fine-tune", "merge + fine-tune"),
            ("-1.50 (-3.00 to -0.10), p < 0.001", "-1.50 (-3.00 to -0.10), p < 0.001"),
            ("words (as rouge_score)", "words (as rouge_score)"),
            ("|a|b", "\\|a\\|b"),
            ("<script>", "\\<script\\>"),
            ("> quote", "\\> quote"),
            ("# head", "\\# head"),
            ("- item", "\\- item"),
            ("-", "-"),
            ("**", "\\*\\*"),
            ("_a_", "\\_a\\_"),
            ("[a](b) `c` ~~d~~", "\\[a](b) \\`c\\` \\~\\~d\\~\\~"),
            ("&amp; & &#60;", "\\&amp; & \\&#60;"),
            // The backslash of a pipe that is escaped already, of the end of a cell, and of what is made visible.
            ("a\\|b", "a\\\\\\|b"),
            ("a\\", "a\\\\"),
            ("a\u{1b}b\nc", "a\\u{1b}b↵c"),
        ] {
            assert_eq!(markdown(&printable(text)), want, "{text:?}");
        }
    }

    #[test]
    fn html_and_latex_take_no_markup() {
        assert_eq!(html("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
        assert_eq!(
            latex("50 % of a_b & {c} \\ ~^"),
            "50 \\% of a\\_b \\& \\{c\\} \\textbackslash{} \\textasciitilde{}\\textasciicircum{}"
        );
        assert_eq!((latex("[3pt] x"), latex("*x")), ("{}[3pt] x".to_owned(), "{}*x".to_owned()));
        assert_eq!(latex(&printable("1±2 < 3|4\n")), "1$\\pm$2 $<$ 3$|$4$\\hookleftarrow$");
    }
}
