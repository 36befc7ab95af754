//! Paths in commands that a user is told.

use crate::text::printable;
use std::path::Path;

/// A path as a word of a shell's command line, safe to show: in quotes where a shell would read something else.
pub fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let text = printable(&text);
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_path_that_was_meant() {
        assert_eq!(word(Path::new("/runs/games-20261123-204701")), "/runs/games-20261123-204701");
        assert_eq!(word(Path::new("/記事/a_b.c")), "/記事/a_b.c");
        assert_eq!(word(Path::new("/my runs/it's")), r"'/my runs/it'\''s'");
        assert!(!word(Path::new("/a\x1b[2J")).contains('\x1b'));
        for path in ["/a b", "/it's", "/$HOME", "~/a", "/a;b&c", "/*?[x]", "/`id`", "/\"q\"", "/a\\b", "#x", ""] {
            let line = format!("printf %s {}", word(Path::new(path)));
            let said = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), path);
        }
    }
}
