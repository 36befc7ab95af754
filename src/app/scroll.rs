//! Keys that move through a text that lies over a screen.

/// Lines of a page.
pub const PAGE: usize = 10;

/// The first line after a key of movement; none after one that closes.
pub fn scrolled(key: &str, top: usize, last: usize) -> Option<usize> {
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
