//! The bytes of a terminal as the events that they are: keys, pastes and the mouse. Its answers are none.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

/// Begins a paste.
const PASTE: &[u8] = b"\x1b[200~";
/// Ends it.
const PASTED: &[u8] = b"\x1b[201~";

/// One piece of what the terminal sent.
#[derive(Debug, PartialEq)]
enum Piece {
    /// A key, a paste or the mouse.
    Typed(Event),
    /// An answer, or something that is neither.
    Other,
    /// Its end has not come yet.
    Torn,
}

/// The events that `bytes` begin with, in order, taken from them; answers of the terminal are left out. What has not
/// ended stays.
pub fn take(bytes: &mut Vec<u8>) -> Vec<Event> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (piece, length) = first(&bytes[at..]);
        match piece {
            Piece::Typed(event) => all.push(event),
            Piece::Other => {}
            Piece::Torn => break,
        }
        at += length;
    }
    bytes.drain(..at);
    all
}

/// What `bytes` that have not ended are when nothing more comes: an escape alone, and a paste as far as it goes.
pub fn torn(bytes: &[u8]) -> Option<Event> {
    if bytes == b"\x1b" {
        return Some(key(KeyCode::Esc, KeyModifiers::NONE));
    }
    bytes.strip_prefix(PASTE).map(|text| Event::Paste(String::from_utf8_lossy(text).into_owned()))
}

/// Whether `bytes`, which have not ended, are a paste.
pub fn is_paste_open(bytes: &[u8]) -> bool {
    bytes.starts_with(PASTE)
}

/// Whether the end of a paste is in `bytes`.
pub fn ends_paste(bytes: &[u8]) -> bool {
    bytes.windows(PASTED.len()).any(|window| window == PASTED)
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

/// The first piece of `bytes`, which are some, and its length.
fn first(bytes: &[u8]) -> (Piece, usize) {
    let plain = |code| (Piece::Typed(key(code, KeyModifiers::NONE)), 1);
    match bytes[0] {
        0x1b => escape(bytes),
        // Before the terminal was raw it made a line feed of Enter.
        b'\r' | b'\n' => plain(KeyCode::Enter),
        b'\t' => plain(KeyCode::Tab),
        0x7f => plain(KeyCode::Backspace),
        0 => (Piece::Typed(key(KeyCode::Char(' '), KeyModifiers::CONTROL)), 1),
        c @ 0x01..=0x1a => (Piece::Typed(key(KeyCode::Char((c - 1 + b'a') as char), KeyModifiers::CONTROL)), 1),
        c @ 0x1c..=0x1f => (Piece::Typed(key(KeyCode::Char((c - 0x1c + b'4') as char), KeyModifiers::CONTROL)), 1),
        _ => character(bytes),
    }
}

fn character(bytes: &[u8]) -> (Piece, usize) {
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) if e.valid_up_to() == 0 && e.error_len().is_none() => return (Piece::Torn, bytes.len()),
        Err(e) => std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default(),
    };
    let Some(c) = valid.chars().next() else { return (Piece::Other, 1) };
    let modifiers = if c.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
    (Piece::Typed(key(KeyCode::Char(c), modifiers)), c.len_utf8())
}

fn escape(bytes: &[u8]) -> (Piece, usize) {
    match bytes.get(1) {
        None => (Piece::Torn, 1),
        Some(b'[') => control(bytes),
        Some(b'O') => match bytes.get(2) {
            None => (Piece::Torn, 2),
            Some(last) => {
                (named(*last, &[]).map_or(Piece::Other, |code| Piece::Typed(key(code, KeyModifiers::NONE))), 3)
            }
        },
        // Strings: OSC, DCS, APC, PM, up to BEL or ST.
        Some(b']' | b'P' | b'_' | b'^') => {
            let end = bytes.iter().skip(2).position(|b| matches!(b, 0x07 | 0x1b)).map(|at| at + 2);
            match end {
                Some(at) if bytes[at] == 0x07 => (Piece::Other, at + 1),
                Some(at) if at + 1 < bytes.len() => (Piece::Other, at + 2),
                _ => (Piece::Torn, bytes.len()),
            }
        }
        Some(0x1b) => (Piece::Typed(key(KeyCode::Esc, KeyModifiers::NONE)), 1),
        // With Alt: of no meaning here, but not the key without it.
        Some(_) => {
            let (piece, length) = first(&bytes[1..]);
            let piece = match piece {
                Piece::Typed(Event::Key(k)) => Piece::Typed(key(k.code, k.modifiers | KeyModifiers::ALT)),
                other => other,
            };
            (piece, length + 1)
        }
    }
}

/// `ESC [ … final`.
fn control(bytes: &[u8]) -> (Piece, usize) {
    if let Some(rest) = bytes.strip_prefix(PASTE) {
        let Some(end) = rest.windows(PASTED.len()).position(|w| w == PASTED) else {
            return (Piece::Torn, bytes.len());
        };
        let text = String::from_utf8_lossy(&rest[..end]).into_owned();
        return (Piece::Typed(Event::Paste(text)), PASTE.len() + end + PASTED.len());
    }
    // The mouse of a terminal that knows no better: three bytes behind the final one.
    if bytes.get(2) == Some(&b'M') {
        let Some(told) = bytes.get(3..6) else { return (Piece::Torn, bytes.len()) };
        let [button, column, row] = [told[0], told[1], told[2]].map(|b| u16::from(b.saturating_sub(32)));
        return (mouse(button, column, row, false), 6);
    }
    let Some(end) = bytes.iter().skip(2).position(|b| (0x40..=0x7e).contains(b)).map(|at| at + 2) else {
        return (Piece::Torn, bytes.len());
    };
    let inside = &bytes[2..end];
    if let (Some(told), b'M' | b'm') = (inside.strip_prefix(b"<"), bytes[end]) {
        let told = std::str::from_utf8(told).unwrap_or_default();
        let numbers: Vec<u16> = told.split(';').filter_map(|n| n.parse().ok()).collect();
        let &[button, column, row] = &numbers[..] else { return (Piece::Other, end + 1) };
        return (mouse(button, column, row, bytes[end] == b'm'), end + 1);
    }
    if !inside.iter().all(|b| b.is_ascii_digit() || *b == b';') {
        return (Piece::Other, end + 1);
    }
    let numbers: Vec<u8> = inside
        .split(|b| *b == b';')
        .map(|n| std::str::from_utf8(n).ok().and_then(|n| n.parse().ok()).unwrap_or(0))
        .collect();
    let mut modifiers = KeyModifiers::NONE;
    let mask = numbers.get(1).copied().unwrap_or(1).saturating_sub(1);
    for (bit, modifier) in [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)] {
        if mask & bit != 0 {
            modifiers |= modifier;
        }
    }
    let code = named(bytes[end], &numbers);
    (code.map_or(Piece::Other, |code| Piece::Typed(key(code, modifiers))), end + 1)
}

/// The press of a button or the turn of the wheel at a place that counts from 1; other motions are none.
fn mouse(button: u16, column: u16, row: u16, released: bool) -> Piece {
    // Of the bits 4, 8 and 16 are the modifiers and 32 says that it was dragged.
    let kind = match button & !0b1_1100 {
        0 => MouseEventKind::Down(MouseButton::Left),
        1 => MouseEventKind::Down(MouseButton::Middle),
        2 => MouseEventKind::Down(MouseButton::Right),
        64 => MouseEventKind::ScrollUp,
        65 => MouseEventKind::ScrollDown,
        _ => return Piece::Other,
    };
    let (Some(column), Some(row), false) = (column.checked_sub(1), row.checked_sub(1), released) else {
        return Piece::Other;
    };
    Piece::Typed(Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

/// The key of a final byte, and of the first number before it.
fn named(last: u8, numbers: &[u8]) -> Option<KeyCode> {
    Some(match (last, numbers.first()) {
        (b'A', _) => KeyCode::Up,
        (b'B', _) => KeyCode::Down,
        (b'C', _) => KeyCode::Right,
        (b'D', _) => KeyCode::Left,
        (b'F', _) | (b'~', Some(4 | 8)) => KeyCode::End,
        (b'H', _) | (b'~', Some(1 | 7)) => KeyCode::Home,
        (b'Z', _) => KeyCode::BackTab,
        (b'P'..=b'S', _) => KeyCode::F(last - b'P' + 1),
        (b'~', Some(2)) => KeyCode::Insert,
        (b'~', Some(3)) => KeyCode::Delete,
        (b'~', Some(5)) => KeyCode::PageUp,
        (b'~', Some(6)) => KeyCode::PageDown,
        (b'~', Some(n @ 11..=15)) => KeyCode::F(n - 10),
        (b'~', Some(n @ 17..=21)) => KeyCode::F(n - 11),
        (b'~', Some(n @ 23..=24)) => KeyCode::F(n - 12),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::input::key_name;

    fn names(bytes: &[u8]) -> Vec<String> {
        let name = |event| match event {
            Event::Key(key) => key_name(key).unwrap_or_else(|| format!("{key:?}")),
            Event::Paste(text) => format!("<{text}>"),
            other => format!("{other:?}"),
        };
        let mut bytes = bytes.to_vec();
        let mut all = take(&mut bytes);
        all.extend(torn(&bytes));
        all.into_iter().map(name).collect()
    }

    #[test]
    fn keys_between_answers_are_found_and_answers_are_none() {
        let bytes = b"m\x1b[?2026;2$y5\x1b[?62;22c\x1b[B\x1b]11;rgb:14/16/1b\x1b\\S\x1b]11;rgb:1/1/1\x07\x1b[?6c\r";
        assert_eq!(names(bytes), ["m", "5", "down", "S", "enter"]);
        let bytes = "é重\x1bOA\x1b[1;5A\x1b[5~\x1b[Z\x1bOQ\x1b[24~\x1a\x7f\t\x1b\x1b[H".as_bytes();
        let all = [
            "é",
            "重",
            "up",
            "ctrl-up",
            "page-up",
            "shift-tab",
            "f2",
            "f12",
            "ctrl-z",
            "backspace",
            "tab",
            "esc",
            "home",
        ];
        assert_eq!(names(bytes), all);
        // The mouse and letters with Alt are no keys of their own.
        assert!(!names(b"\x1b[<0;3;4M\x1bq").contains(&"q".to_owned()));
    }

    #[test]
    fn buttons_and_the_wheel_are_known_in_both_ways_of_writing() {
        let events = |bytes: &[u8]| take(&mut bytes.to_vec());
        let at = |kind, column, row| Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
        let left = MouseEventKind::Down(MouseButton::Left);
        assert_eq!(
            events(b"\x1b[<0;3;4M\x1b[<0;3;4m\x1b[<64;200;50M\x1b[<35;1;1M\x1b[<32;1;1Mq"),
            [at(left, 2, 3), at(MouseEventKind::ScrollUp, 199, 49), key(KeyCode::Char('q'), KeyModifiers::NONE)]
        );
        assert_eq!(events(b"\x1b[M #$\x1b[Ma!!"), [at(left, 2, 3), at(MouseEventKind::ScrollDown, 0, 0)]);
        // Places that are none.
        for bytes in [&b"\x1b[<0;0;4M"[..], b"\x1b[<0;3M", b"\x1b[<0;99999;1M", b"\x1b[<;;M", b"\x1b[M\x00\x00\x00"] {
            assert_eq!(events(bytes), [], "{bytes:?}");
        }
    }

    #[test]
    fn a_paste_stays_one_and_what_is_torn_is_known() {
        assert_eq!(names(b"a\x1b[200~q\r\x1b[A\x1b[201~b"), ["a", "<q\r\x1b[A>", "b"]);
        assert_eq!(names(b"\x1b[200~q"), ["<q>"]);
        for torn in [
            &b"a\x1b"[..],
            b"\x1b[",
            b"\x1b[?62;2",
            b"\x1b]11;rgb",
            b"\x1b]11;rgb:1/1/1\x1b",
            b"\xe9\x87",
            b"\x1b[200~abc\x1b[20",
        ] {
            let mut bytes = torn.to_vec();
            take(&mut bytes);
            assert!(!bytes.is_empty(), "{torn:?}");
        }
        for whole in [&b""[..], b"abc", b"\x1b[A", b"\x1b[?62c", b"\xff", b"\x1b[200~a\x1b[201~"] {
            let mut bytes = whole.to_vec();
            take(&mut bytes);
            assert!(bytes.is_empty(), "{whole:?}");
        }
        // Nothing makes it stand still.
        for length in 1..4 {
            for n in 0..4096u32 {
                let mut bytes: Vec<u8> =
                    (0..length).map(|i| b"\x1b[O]~AP\x07\x80\xe9;?1m\x00\r"[(n >> (4 * i)) as usize & 15]).collect();
                assert!(take(&mut bytes).len() <= length as usize);
            }
        }
    }
}
