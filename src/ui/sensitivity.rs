//! The heatmap of what the dev loss minds being pruned: its words, and the table of the parts under the cursor.

mod curves;

use super::fit::{self, Fact};
use super::ratios;
use crate::app::measure::Measure;
use crate::app::sensitivity::{RATIOS, elsewhere, rows};
use crate::app::{App, action};
use crate::run::RunState;
use crate::run::sensitivity::{By, Measured};
use crate::theme::{Depth, Theme};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Columns of a figure, with and without its standard error.
const FIGURES: [usize; 2] = [15, 9];

/// Lines above and below the table that are not its parts.
const LINES: usize = 5;

/// The key that measures.
fn key() -> &'static str {
    action::key_of(action::Action::Ratio(action::RatioAction::Sensitivity))
}

/// What the legend calls it: `sensitivity at 0.7`; of another step than the one on show `sensitivity at 0.7, step 7`.
pub fn title(app: &App) -> String {
    let ratio = app.sensitivity.ratio().map_or(String::new(), |ratio| format!(" at {ratio}"));
    let place = elsewhere(app).map_or(String::new(), |place| format!(", {place}"));
    format!("{}{ratio}{place}", Measure::Sensitivity.label())
}

/// Why there is no map.
pub fn nothing(app: &App) -> String {
    if app.sensitivity.is_asked() {
        return "the run is being loaded to be measured".into();
    }
    if app.read_only {
        return "nothing is measured yet: lopper sensitivity RUN measures what the loss minds being pruned".into();
    }
    let of = if app.state == RunState::Running { ", on a paused or finished run" } else { "" };
    format!("nothing is measured yet: {} measures what the loss minds being pruned{of}", key())
}

/// How far it is: `34 of 107 parts at 0.7`, or that it stands still.
fn state(app: &App) -> Option<String> {
    let known = &app.sensitivity;
    let started = app.started.as_ref()?;
    let counts = RATIOS.map(|ratio| (ratio, known.count(started, ratio)));
    let under_way = counts.iter().find(|(_, (done, all))| done < all);
    let Some((ratio, (done, all))) = under_way else { return Some("all is measured".into()) };
    let how_far = format!("{done} of {all} parts at {ratio}");
    Some(match (known.is_asked(), app.read_only || app.looks.replay.is_some()) {
        (true, _) => format!("measuring: {how_far}; {} stops", key()),
        (false, false) if app.state == RunState::Running => {
            format!("{how_far}; {} wants a paused or finished run", key())
        }
        (false, false) => format!("{how_far}; {} measures on", key()),
        (false, true) => how_far,
    })
}

/// Draws as much as there is room for: what is measured, what that says, the parts under the cursor by ratio.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let mut lines: Vec<Line<'static>> = Vec::new();
    lines.extend(ratios::search(app, theme, width));
    lines.extend(ratios::draft(app, theme, width));
    let known = &app.sensitivity;
    let mut facts = vec![fit::fact("rise of the dev loss, pruned alone", theme.title(), 8)];
    if let Some(state) = state(app) {
        facts.push(fit::fact(state, if known.is_asked() { theme.good } else { theme.dim }, 9));
    }
    if let Some(of) = known.all().last() {
        let [from, to] = of.documents;
        let (place, style) = match elsewhere(app) {
            Some(place) => (place, theme.warn),
            None => (format!("step {}", of.at.1), theme.dim),
        };
        facts.push(fit::fact(format!("{} dev documents, {place}", to.saturating_sub(from)), style, 5));
    }
    lines.push(fit::facts_cut(facts, "  ", width, theme));
    let below = |lines: usize| {
        let height = area.height.saturating_sub(lines as u16);
        Rect { y: area.bottom() - height, height, ..area }
    };
    let has_any = !known.all().is_empty();
    let parts = rows(app).len();
    // Both where there is room for both; else the key chooses.
    let both = usize::from(area.height) > lines.len() + LINES + parts + usize::from(curves::WANTED);
    let only_curves = has_any && known.shows_curves() && !both;
    if let Some(said) = known.guidance() {
        let said = ratios::spelled(&said, theme);
        let said = fit::limit(fit::wrap(&[(&said, theme.warn)], width), 2, width, theme);
        if !only_curves || curves::fits(below(lines.len() + said.len())) {
            lines.extend(said);
        }
    }
    if only_curves {
        let rest = below(lines.len());
        frame.render_widget(Paragraph::new(lines), area);
        curves::draw(app, theme, frame, rest);
        return;
    }
    // Below the table's heading.
    let mut room = usize::from(area.height).saturating_sub(lines.len() + 1);
    if let Some(line) = gone(app, theme, (width, room)) {
        lines.push(line);
        room = room.saturating_sub(1);
    }
    lines.extend(table(app, theme, (width, room)));
    let rest = below(lines.len() + 1);
    frame.render_widget(Paragraph::new(lines), area);
    if has_any && both && curves::fits(rest) {
        curves::draw(app, theme, frame, Rect { height: rest.height.min(16), ..rest });
    }
}

/// What it costs to leave parts out, where none of the table's `room` rows tells it: `gone:  games A+B +12.30 ± 2.00`.
fn gone(app: &App, theme: &Theme, (width, room): (usize, usize)) -> Option<Line<'static>> {
    let rows = rows(app);
    let known = |(by, name): &(By, String)| app.sensitivity.of(*by, name, 1.0);
    if rows.iter().take(room).any(|row| known(row).is_some()) {
        return None;
    }
    let part = |row: &(By, String)| {
        let (text, style) = figure(known(row)?, FIGURES[0], theme);
        Some(fit::fact(format!("{} {text}", called(row.0, &row.1)), style, 1))
    };
    let parts: Vec<Fact> = rows.iter().filter_map(part).collect();
    let head = (!parts.is_empty()).then(|| fit::fact("gone:", theme.dim, 2))?;
    Some(fit::facts(std::iter::once(head).chain(parts).collect(), "  ", width))
}

/// The first `room` parts by ratios.
fn table(app: &App, theme: &Theme, (width, room): (usize, usize)) -> Vec<Line<'static>> {
    let known = &app.sensitivity;
    let rows = rows(app);
    // It is whole adapters that are left out, seldom a module: the column is there where a row has something for it.
    let is_gone = |(by, name): &(By, String)| known.of(*by, name, 1.0).is_some();
    let mut ratios = known.ratios();
    ratios.retain(|ratio| *ratio < 1.0 || rows.iter().take(room).any(is_gone));
    let legend = unit(theme, width);
    let least = legend.len().max(12);
    let label = rows.iter().map(|(by, name)| fit::width(&called(*by, name))).max().unwrap_or(0).clamp(least, 30);
    let left = width.saturating_sub(label);
    let column = FIGURES.into_iter().find(|column| column * ratios.len() <= left).unwrap_or(FIGURES[1]);
    let shown = &ratios[..ratios.len().min(left / column)];
    let mut head = fit::pad(legend, label, theme);
    for ratio in shown {
        let name = if *ratio < 1.0 { format!("at {ratio}") } else { "gone".into() };
        head.push_str(&format!("{name:>column$}"));
    }
    let mut lines = vec![Line::styled(head, theme.dim)];
    for (at, (by, name)) in rows.iter().enumerate().take(room) {
        let style = if at < 3 { theme.text } else { theme.dim };
        let mut spans = vec![Span::styled(fit::pad(&called(*by, name), label, theme), style)];
        for ratio in shown {
            let (text, style) = match known.of(*by, name, *ratio) {
                Some(measured) => figure(measured, column, theme),
                None => (theme.glyphs.none.to_owned(), theme.dim),
            };
            let gap = " ".repeat(column.saturating_sub(fit::width(&text)));
            spans.push(Span::styled(format!("{gap}{text}"), style));
        }
        lines.push(Line::from(spans));
    }
    lines
}

fn called(by: By, name: &str) -> String {
    match by {
        By::Projection => format!("all {name}"),
        By::Factor | By::RoleFactor => format!("all {name}"),
        By::Adapter => format!("{name} A+B"),
        By::Layer | By::Module | By::AdapterFactor => name.to_owned(),
    }
}

/// The unit; without colours also what weight tells there, where there is room.
fn unit(theme: &Theme, width: usize) -> &'static str {
    if theme.depth == Depth::None && width >= 60 { "0.001 nats, bold > 2 SE" } else { "0.001 nats" }
}

/// `+12.3 ± 4.0`, in the colour of a warning (bold, where there are none) where it is above twice its standard error.
fn figure(measured: &Measured, column: usize, theme: &Theme) -> (String, Style) {
    let (mean, se) = (1000.0 * measured.delta.mean, measured.delta.se.map(|se| 1000.0 * se));
    let text = match se.filter(|_| column >= FIGURES[0]) {
        Some(se) => format!("{mean:+.2} ± {se:.2}"),
        None => format!("{mean:+.2}"),
    };
    let style = if mean > 2.0 * se.unwrap_or(0.0) { theme.warn } else { theme.text };
    (ratios::spelled(&text, theme), style)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::what_if::Change;
    use ratatui::style::Modifier;

    #[test]
    fn without_colours_a_rise_above_two_errors_is_told_by_its_weight() {
        let measured = |mean: f64| Measured {
            at: (0, 1, 0),
            by: By::Layer,
            group: "layers.0".into(),
            rule: "layers.0=0.7".into(),
            ratio: 0.7,
            documents: [0, 8],
            on: "x".into(),
            loss: [2.0, 2.0 + mean],
            delta: Change { mean, se: Some(0.002) },
            sparsity: [0.5, 0.6],
            retained: [0.9, 0.8],
            restored: 0,
            seconds: 0.1,
        };
        for (name, depth) in [("mono", Depth::True), ("default", Depth::None)] {
            let theme = Theme::find(name, depth, true).unwrap();
            let told = |mean| {
                let (text, style) = figure(&measured(mean), FIGURES[0], &theme);
                (text, style.add_modifier.contains(Modifier::BOLD), style.fg)
            };
            assert_eq!(told(0.005), ("+5.00 +- 2.00".into(), true, None));
            assert_eq!(told(0.003), ("+3.00 +- 2.00".into(), false, None));
            assert_eq!([80, 40].map(|width| unit(&theme, width).contains("bold")), [true, false]);
        }
        let theme = Theme::find("default", Depth::True, true).unwrap();
        assert_ne!(figure(&measured(0.005), FIGURES[0], &theme).1, figure(&measured(0.003), FIGURES[0], &theme).1);
        assert!(!unit(&theme, 80).contains("bold"));
    }
}
