//! The mouse in the form.

use super::update::walk;
use super::{Effect, Hit, Pane, Setup, over};

/// Lines that the wheel scrolls a text.
const WHEEL: usize = 3;

/// A click or the wheel.
pub(super) fn point(setup: &mut Setup, hit: Hit) -> Vec<Effect> {
    // A slip of the hand neither keeps nor drops what is typed.
    if setup.editing.is_some() {
        return Vec::new();
    }
    if let Some(overlay) = setup.overlay.take() {
        if let Hit::Wheel(_, up) = hit {
            return over::press(setup, overlay, if up { "up" } else { "down" });
        }
        setup.overlay = Some(overlay);
        return Vec::new();
    }
    match hit {
        Hit::Pane(pane) => setup.pane = pane,
        Hit::Row(row, cell) => {
            setup.pane = Pane::Settings;
            setup.at = row.min(setup.rows.len() - 1);
            setup.cell = cell.unwrap_or(setup.cell);
        }
        Hit::Wheel(pane @ Pane::Settings, up) => walk(setup, pane, !up, 1),
        Hit::Wheel(pane, up) => walk(setup, pane, !up, WHEEL),
    }
    Vec::new()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Message, Overlay, update};
    use super::*;
    use crate::recipe::draft::NEW;
    use std::path::Path;

    fn form() -> Setup {
        Setup::new(Path::new("/p/r.toml"), NEW, None, None).unwrap()
    }

    fn mouse(form: &mut Setup, hit: Hit) {
        assert!(update(form, Message::Mouse(hit)).is_empty());
    }

    fn press(form: &mut Setup, keys: &[&str]) {
        for key in keys {
            update(form, Message::Key((*key).into()));
        }
    }

    #[test]
    fn a_click_chooses_and_the_wheel_moves() {
        let mut form = form();
        mouse(&mut form, Hit::Pane(Pane::Estimate));
        assert_eq!(form.pane, Pane::Estimate);
        mouse(&mut form, Hit::Row(7, None));
        assert_eq!((form.pane, form.at), (Pane::Settings, 7));
        mouse(&mut form, Hit::Row(999, Some(2)));
        assert_eq!((form.at, form.cell), (form.rows.len() - 1, 2));
        mouse(&mut form, Hit::Wheel(Pane::Settings, true));
        assert_eq!(form.at, form.rows.len() - 2);
        mouse(&mut form, Hit::Wheel(Pane::Data, false));
        assert_eq!((form.at, form.scroll), (form.rows.len() - 2, [3, 0]));
    }

    #[test]
    fn what_is_typed_or_lies_over_the_form_stays() {
        let mut form = form();
        press(&mut form, &["/", "t", "r", "a", "i", "n", ".", "l", "r", "enter", "enter", "ctrl-u", "5"]);
        let (before, at) = (form.editing.clone(), form.at);
        assert!(before.is_some());
        for hit in [Hit::Row(0, None), Hit::Pane(Pane::Data), Hit::Wheel(Pane::Settings, false)] {
            mouse(&mut form, hit);
            assert_eq!((&form.editing, form.at, form.pane), (&before, at, Pane::Settings));
        }
        press(&mut form, &["esc", "?"]);
        mouse(&mut form, Hit::Row(0, None));
        mouse(&mut form, Hit::Wheel(Pane::Settings, false));
        assert_eq!((form.overlay, form.at), (Some(Overlay::Help { top: 1 }), at));
    }
}
