//! Keys that move through a text that lies over a screen.

use std::cell::Cell;

/// How far a text can be scrolled, as it was last drawn: only the drawing knows how its lines wrap. Without it a key at the
/// end would scroll on in secret, and as many keys back would do nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reach(Cell<Option<usize>>);

impl Reach {
    /// It was drawn, and goes so far.
    pub fn note(&self, most: usize) {
        self.0.set(Some(most));
    }

    /// Another text lies there, not drawn yet.
    pub fn forget(&self) {
        self.0.set(None);
    }

    /// The last line that it can be scrolled to; `last` until it was drawn.
    pub fn within(&self, last: usize) -> usize {
        self.0.get().unwrap_or(last)
    }
}

/// Lines of a page.
pub const PAGE: usize = 10;

/// The first line after a key of movement; none after one that closes.
pub fn scrolled(key: &str, top: usize, last: usize) -> Option<usize> {
    let top = top.min(last);
    let top = match key {
        "down" | "j" => top + 1,
        "up" | "k" => top.saturating_sub(1),
        "page-down" | "space" => top + PAGE,
        "page-up" => top.saturating_sub(PAGE),
        "home" => 0,
        "end" => last,
        _ => return None,
    };
    Some(top.min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_at_the_end_of_what_was_drawn_does_not_scroll_on_in_secret() {
        let reach = Reach::default();
        assert_eq!(scrolled("end", 0, reach.within(60)), Some(60));
        reach.note(3);
        assert_eq!(scrolled("end", 0, reach.within(60)), Some(3));
        assert_eq!(scrolled("up", 60, reach.within(60)), Some(2), "it was drawn in a lower window before");
        reach.forget();
        assert_eq!((reach.within(60), scrolled("x", 0, 60)), (60, None));
    }
}
