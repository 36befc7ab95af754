//! Keys for the recipe form in a terminal.
#![allow(dead_code)]

use crate::pty::Terminal;

/// Goes to a setting by its name, and opens it.
pub fn open(screen: &mut Terminal, key: &str) {
    screen.press("/");
    screen.shows(&["╭ setting"]);
    screen.press(key);
    screen.shows(&[&format!("> {key}")]);
    screen.press("\r");
    screen.hides("╭ setting");
    screen.press("\r");
}

/// Goes to a setting by its name, and puts a value there.
pub fn set(screen: &mut Terminal, key: &str, value: &str) {
    open(screen, key);
    screen.shows(&["enter keep"]);
    screen.press(&format!("\x15{value}"));
    screen.shows(&[value]);
    screen.press("\r");
    screen.hides("enter keep");
}

/// Opens the picker of a setting and picks what is typed there instead of what is there.
pub fn pick(screen: &mut Terminal, key: &str, text: &str, shows: &str) {
    open(screen, key);
    screen.shows(&["│ > "]);
    screen.press(&format!("\x15{text}"));
    screen.shows(&[&format!("> {text}"), shows]);
    screen.press("\r");
    screen.hides("│ > ");
}
