//! What the terminal says, as messages of the app.

use super::layout;
use crate::app::{App, Hit, Message};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind};
use ratatui::layout::Rect;

/// The message of an event on a screen of `area`, if it has any.
pub fn message(app: &App, event: Event, area: Rect, notice: u16) -> Option<Message> {
    match event {
        Event::Key(key) => key_name(key).map(Message::Key),
        Event::Paste(text) => Some(Message::Paste(text)),
        Event::Mouse(mouse) => {
            let places = layout::places(app, area, notice)?;
            let hit = places.hit(app, mouse.column, mouse.row)?;
            let pane = match hit {
                Hit::Pane(pane) => pane,
                _ => crate::app::Pane::Heatmap,
            };
            match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Some(Message::Mouse(hit)),
                MouseEventKind::ScrollUp => Some(Message::Mouse(Hit::Wheel(pane, true))),
                MouseEventKind::ScrollDown => Some(Message::Mouse(Hit::Wheel(pane, false))),
                _ => None,
            }
        }
        _ => None,
    }
}

/// What is typed on a screen that is all lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// A key, by its name in the action table; the wheel is up and down.
    Key(String),
    /// A pasted text.
    Paste(String),
}

/// What an event types, if anything.
pub fn typed(event: Event) -> Option<Typed> {
    match event {
        Event::Key(key) => key_name(key).map(Typed::Key),
        Event::Paste(text) => Some(Typed::Paste(text)),
        Event::Mouse(mouse) if mouse.kind == MouseEventKind::ScrollUp => Some(Typed::Key("up".into())),
        Event::Mouse(mouse) if mouse.kind == MouseEventKind::ScrollDown => Some(Typed::Key("down".into())),
        _ => None,
    }
}

/// The action table's name of a key.
pub fn key_name(key: KeyEvent) -> Option<String> {
    // Esc and ctrl-c that are read at once look like alt-ctrl-c; who pressed either wants to leave.
    let leaves = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let foreign = if leaves { KeyModifiers::SUPER } else { KeyModifiers::ALT | KeyModifiers::SUPER };
    if key.kind == KeyEventKind::Release || key.modifiers.intersects(foreign) {
        return None;
    }
    let name = match key.code {
        KeyCode::Char(c) => c.to_string(),
        KeyCode::F(n) => format!("f{n}"),
        KeyCode::Insert => "insert".into(),
        KeyCode::Up => "up".into(),
        KeyCode::Down => "down".into(),
        KeyCode::Left => "left".into(),
        KeyCode::Right => "right".into(),
        KeyCode::Home => "home".into(),
        KeyCode::End => "end".into(),
        KeyCode::Tab => "tab".into(),
        KeyCode::BackTab => "shift-tab".into(),
        KeyCode::Enter => "enter".into(),
        KeyCode::Esc => "esc".into(),
        KeyCode::Backspace => "backspace".into(),
        KeyCode::Delete => "delete".into(),
        KeyCode::PageUp => "page-up".into(),
        KeyCode::PageDown => "page-down".into(),
        _ => return None,
    };
    Some(if key.modifiers.contains(KeyModifiers::CONTROL) { format!("ctrl-{name}") } else { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_names_of_the_table() {
        let named = |code, modifiers| key_name(KeyEvent::new(code, modifiers));
        assert_eq!(named(KeyCode::Char('z'), KeyModifiers::CONTROL).as_deref(), Some("ctrl-z"));
        assert_eq!(named(KeyCode::Char('S'), KeyModifiers::SHIFT).as_deref(), Some("S"));
        assert_eq!(named(KeyCode::BackTab, KeyModifiers::SHIFT).as_deref(), Some("shift-tab"));
        assert_eq!(named(KeyCode::Up, KeyModifiers::CONTROL).as_deref(), Some("ctrl-up"));
        assert_eq!(named(KeyCode::F(12), KeyModifiers::NONE).as_deref(), Some("f12"));
        // Meta of a terminal that has none is an Esc before the letter: not the letter's action.
        assert_eq!(named(KeyCode::Char('s'), KeyModifiers::ALT), None);
        let both = named(KeyCode::Char('c'), KeyModifiers::ALT | KeyModifiers::CONTROL);
        assert_eq!(both.as_deref(), Some("ctrl-c"));
    }

    #[test]
    fn a_paste_is_one_message_and_no_key() {
        let app = App::new("x", false);
        let message = message(&app, Event::Paste("sy".into()), Rect::new(0, 0, 80, 24), 0);
        assert_eq!(message, Some(Message::Paste("sy".into())));
    }
}
