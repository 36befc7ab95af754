//! The recipe form: settings with what is wrong beside them, the data as the model reads it, memory and time.

mod data;
mod estimate;
mod evaluate;
mod fetch;
mod form;
mod hub;
mod jobs;
mod keep;
mod overlay;
mod picture;
mod places;
pub mod screen;
mod slots;
pub(super) mod unsaved;

pub use picture::picture_of_form;
pub use screen::{Source, edit};

use super::fit::{self, Fact, fact, facts, facts_cut};
use crate::app::action::setup::Form;
use crate::app::action::{self, Action, Screen};
use crate::app::setup::{Overlay, Pane, Setup, What};
use crate::theme::Theme;
use places::Places;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

/// Draws the whole screen.
pub fn draw(setup: &Setup, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width == 0 || area.height == 0 {
        return;
    }
    let Some(places) = Places::new(setup, theme, area) else {
        let text = format!("{}; a larger window shows its settings", setup.name());
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    };
    frame.render_widget(head(setup, theme, usize::from(places.head.width)), places.head);
    if let Some(Overlay::Compare { comparison, top }) = &setup.overlay {
        let within = Rect { y: places.body.y, height: places.body.height, ..places.head };
        super::runs::compare::draw(comparison, *top, theme, frame, within);
    } else {
        panes(setup, &places, theme, frame);
    }
    foot(setup, theme, frame, places.foot);
    overlay::draw(setup, theme, frame, area);
}

/// All panes, each within a border, or one at a time below its tabs.
fn panes(setup: &Setup, places: &Places, theme: &Theme, frame: &mut Frame<'_>) {
    if let Some(place) = places.tabs {
        tabs(setup, theme, frame, place);
    }
    for (pane, area, inner) in &places.panes {
        if places.tabs.is_none() {
            frame.render_widget(super::block(theme, places::label(*pane), setup.pane == *pane), *area);
        }
        match pane {
            Pane::Settings => form::draw(setup, theme, frame, *inner),
            Pane::Data => data::draw(setup, theme, frame, *inner),
            Pane::Estimate => estimate::draw(setup, theme, frame, *inner),
        }
    }
}

fn tabs(setup: &Setup, theme: &Theme, frame: &mut Frame<'_>, place: Rect) {
    let mut spans = Vec::new();
    for pane in Pane::ALL {
        let style = if pane == setup.pane { theme.selected() } else { theme.dim };
        spans.push(Span::styled(places::label(pane), style));
        if places::is_wrong(setup, pane) {
            spans.push(Span::styled(theme.glyphs.states[4], theme.bad));
        }
        spans.push(Span::raw(" "));
    }
    frame.render_widget(Line::from(spans), place);
}

fn head(setup: &Setup, theme: &Theme, width: usize) -> Line<'static> {
    let state = match (&setup.saved, setup.is_changed()) {
        (None, _) => ("new, not saved", theme.warn),
        (_, true) => ("changed, not saved", theme.warn),
        _ => ("saved", theme.dim),
    };
    let mut parts = vec![
        fact("lopper", theme.title(), 3),
        fact(fit::cut(&setup.name(), width / 2, theme), theme.text, 9),
        fact(state.0, state.1, 7),
    ];
    match setup.wrong() {
        0 => parts.push(fact("nothing is wrong", theme.good, 6)),
        1 => parts.push(fact("1 thing to mend", theme.bad, 10)),
        n => parts.push(fact(format!("{n} things to mend"), theme.bad, 10)),
    }
    if let Some(Ok(estimate)) = &setup.seen.estimate {
        let style = if estimate::is_tight(estimate) { theme.bad } else { theme.text };
        parts.push(fact(estimate::needs(estimate), style, 8));
        parts.push(fact(estimate::takes(estimate), theme.text, 6));
    }
    if let Some(standing) = &setup.hub.fetching {
        parts.push(fact(format!("fetching {}", fetch::figures(standing)), theme.accent, 8));
    } else if let Some((bytes, all)) = setup.to_fetch() {
        let text = if all { crate::run::estimate::bytes(bytes) } else { "something".to_owned() };
        parts.push(fact(format!("{text} to fetch"), theme.accent, 5));
    }
    if setup.seen.looking {
        parts.push(fact("looking ...", theme.dim, 2));
    }
    facts_cut(parts, "  ", width, theme)
}

/// One line: a message, or the keys that have something to do.
fn foot(setup: &Setup, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    if let Some((text, _)) = &setup.toast {
        frame.render_widget(Line::styled(fit::cut(text, width, theme), theme.warn), area);
        return;
    }
    let key = |key: &str, does: &str, weight: u8| Fact {
        spans: vec![Span::styled(format!("{key} "), theme.accent), Span::styled(does.to_owned(), theme.dim)],
        weight,
    };
    if setup.editing.is_some() {
        let keys = [("enter", "keep", 9), ("esc", "leave as it was", 8), ("ctrl-u", "clear", 5)];
        frame.render_widget(facts(keys.map(|(k, does, w)| key(k, does, w)).into(), "  ", width), area);
        return;
    }
    if matches!(setup.overlay, Some(Overlay::Compare { .. } | Overlay::Help { .. })) {
        let keys = [("j k", "scroll"), ("page-up page-down", "ten lines"), ("q", "close")];
        frame.render_widget(facts(keys.map(|(k, does)| key(k, does, 5)).into(), "  ", width), area);
        return;
    }
    let entries = action::sections().filter(|s| s.screen == Screen::Setup).flat_map(|s| s.entries);
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for entry in entries.filter(|e| !e.short.is_empty() && !e.keys.is_empty()) {
        let Action::Form(form) = entry.action else { continue };
        // From the other panes these two lead to the settings; there they say nothing.
        let elsewhere = matches!(form, Form::Edit | Form::Find) && setup.pane != Pane::Settings;
        if elsewhere || !setup.works(form) {
            continue;
        }
        let weight = match form {
            Form::Quit | Form::Help => 9,
            Form::Start | Form::Edit => 8,
            Form::Save | Form::NextPane => 7,
            Form::Add | Form::Switch | Form::Fetch => 6,
            Form::Unset => 5,
            _ => 3,
        };
        let word = match (form, setup.row().what) {
            (Form::Unset, What::Adapter(_)) => "take out",
            (Form::Switch, What::Adapter(_)) => "role",
            _ => entry.short,
        };
        if matches!(form, Form::Help | Form::Quit) {
            ends.push(key(entry.keys[0], word, weight));
        } else {
            all.push(key(entry.keys[0], word, weight));
        }
    }
    all.append(&mut ends);
    frame.render_widget(facts(all, "  ", width), area);
}
