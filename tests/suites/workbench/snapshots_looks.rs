//! What lies over the panes: the palette and the themes, at the four sizes.
#![allow(clippy::unwrap_used)]

use lopper::app::update::update;
use lopper::app::{App, Message};
use lopper::theme::{Depth, Theme};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 50)];

fn screen(keys: &[&str], (width, height): (u16, u16), ascii: bool) -> String {
    let theme = Theme::find("default", Depth::True, ascii).unwrap();
    let mut app = App::new("demo", false);
    app.looks.themes.names = lopper::theme::THEMES.iter().map(|t| t.0.to_owned()).collect();
    app.looks.themes.wanted = "default".into();
    for key in keys {
        update(&mut app, Message::Key((*key).into()));
    }
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| lopper::ui::draw(&app, &theme, frame)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn the_palette() {
    for size in SIZES {
        insta::assert_snapshot!(format!("palette_{}x{}", size.0, size.1), screen(&[":"], size, false));
    }
    insta::assert_snapshot!("palette_found", screen(&[":", "p", "a", "n", "e", "down"], (80, 24), true));
    insta::assert_snapshot!("palette_nothing", screen(&[":", "z", "z"], (40, 10), false));
}

#[test]
fn the_themes() {
    insta::assert_snapshot!("themes_80x24", screen(&["ctrl-t", "j"], (80, 24), false));
    insta::assert_snapshot!("themes_40x10", screen(&["ctrl-t"], (40, 10), false));
}

#[test]
fn no_size_panics() {
    for keys in [&[":"][..], &["ctrl-t"], &["f12"]] {
        for width in [1, 9, 33, 34, 35, 80] {
            for height in [1, 7, 8, 9, 23] {
                screen(keys, (width, height), false);
            }
        }
    }
}
