//! The heatmap of what the dev loss minds being pruned: its words, and the table of the parts under the cursor.

use super::{fit, ratios};
use crate::app::measure::Measure;
use crate::app::sensitivity::{RATIOS, rows};
use crate::app::{App, action};
use crate::run::sensitivity::{By, Measured};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Columns of a figure, with and without its standard error.
const FIGURES: [usize; 2] = [15, 9];

/// The key that measures.
fn key() -> &'static str {
    action::key_of(action::Action::Ratio(action::RatioAction::Sensitivity))
}

/// What the legend calls it: `sensitivity at 0.7`.
pub fn title(app: &App) -> String {
    let ratio = app.sensitivity.ratio().map_or(String::new(), |ratio| format!(" at {ratio}"));
    format!("{}{ratio}", Measure::Sensitivity.label())
}

/// Why there is no map.
pub fn nothing(app: &App) -> String {
    if app.sensitivity.is_asked() {
        return "the run is being loaded to be measured".into();
    }
    if app.read_only {
        return "nothing is measured yet: lopper sensitivity RUN measures what the loss minds being pruned".into();
    }
    format!("nothing is measured yet: {} measures what the loss minds being pruned", key())
}

/// How far it is: `34 of 107 parts at 0.7`, or that it stands still.
fn state(app: &App) -> Option<String> {
    let known = &app.sensitivity;
    let started = app.started.as_ref()?;
    let counts = RATIOS.map(|ratio| (ratio, known.count(started, ratio)));
    let under_way = counts.iter().find(|(_, (done, all))| done < all);
    let Some((ratio, (done, all))) = under_way else { return Some("all is measured".into()) };
    let how_far = format!("{done} of {all} parts at {ratio}");
    Some(match (known.is_asked(), app.read_only) {
        (true, _) => format!("measuring: {how_far}; {} stops", key()),
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
        facts.push(fit::fact(format!("{} dev documents, step {}", to.saturating_sub(from), of.at.1), theme.dim, 5));
    }
    lines.push(fit::facts(facts, "  ", width));
    if let Some(said) = known.guidance() {
        let said = ratios::spelled(&said, theme);
        lines.extend(fit::limit(fit::wrap(&[(&said, theme.warn)], width), 2, width, theme));
    }
    lines.extend(table(app, theme, width));
    frame.render_widget(Paragraph::new(lines), area);
}

/// Parts by ratios.
fn table(app: &App, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let known = &app.sensitivity;
    let ratios = known.ratios();
    let rows = rows(app);
    let label = rows.iter().map(|(by, name)| fit::width(&called(*by, name))).max().unwrap_or(0).clamp(12, 30);
    let room = width.saturating_sub(label);
    let column = FIGURES.into_iter().find(|column| column * ratios.len() <= room).unwrap_or(FIGURES[1]);
    let shown = &ratios[..ratios.len().min(room / column)];
    let mut head = fit::pad("0.001 nats", label, theme);
    shown.iter().for_each(|ratio| head.push_str(&format!("{:>column$}", format!("at {ratio}"))));
    let mut lines = vec![Line::styled(head, theme.dim)];
    for (at, (by, name)) in rows.iter().enumerate() {
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
        By::Factor => format!("all {name}"),
        By::Adapter => format!("{name} A+B"),
        By::Layer | By::Module | By::AdapterFactor => name.to_owned(),
    }
}

/// `+12.3 ± 4.0`, in the colour of a warning where it is above twice its standard error.
fn figure(measured: &Measured, column: usize, theme: &Theme) -> (String, Style) {
    let (mean, se) = (1000.0 * measured.delta.mean, measured.delta.se.map(|se| 1000.0 * se));
    let text = match se.filter(|_| column >= FIGURES[0]) {
        Some(se) => format!("{mean:+.2} ± {se:.2}"),
        None => format!("{mean:+.2}"),
    };
    let style = if mean > 2.0 * se.unwrap_or(0.0) { theme.warn } else { theme.text };
    (ratios::spelled(&text, theme), style)
}
