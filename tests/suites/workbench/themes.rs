//! The embedded themes can be read: on their own background, by the measure of WCAG 2.
#![allow(clippy::unwrap_used)]

use lopper::theme::{Depth, THEMES, Theme};
use lopper::ui::export::rgb;
use ratatui::style::{Color, Style};

fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
    let linear = |x: u8| {
        let x = f64::from(x) / 255.0;
        if x <= 0.04045 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

fn contrast(a: Color, b: Color) -> f64 {
    let [a, b] = [a, b].map(|c| luminance(rgb(c).unwrap()));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_text_role_of_every_theme_is_readable() {
    assert!((contrast(Color::Rgb(0, 0, 0), Color::Rgb(255, 255, 255)) - 21.0).abs() < 1e-9);
    let mut faint = Vec::new();
    for (name, _) in THEMES {
        for depth in [Depth::True, Depth::Indexed] {
            let theme = Theme::find(name, depth, false).unwrap();
            let (background, text) = theme.picture;
            let role = |style: Style| style.fg.filter(|c| *c != Color::Reset).unwrap_or(text);
            let roles = [
                ("text", theme.text),
                ("dim", theme.dim),
                ("accent", theme.accent),
                ("good", theme.good),
                ("warn", theme.warn),
                ("bad", theme.bad),
            ];
            for (label, style) in roles {
                let found = contrast(role(style), background);
                if found < 4.5 {
                    faint.push(format!("{name} {depth:?} {label}: {found:.2}"));
                }
            }
        }
    }
    assert!(faint.is_empty(), "{faint:#?}");
}
