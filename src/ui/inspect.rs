//! Every matrix of the module under the cursor: its figures at the step on show, and its course over all steps.

use super::fit::{self, Fact, fact};
use super::overlay;
use crate::app::measure::significant;
use crate::app::watch::matrix::of_module;
use crate::app::{App, Measure};
use crate::run::event::{MatrixInfo, Modules};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

/// Columns of a course.
const COURSE: usize = 24;

/// Draws the overlay, from the matrix `top` on.
pub fn draw(app: &App, theme: &Theme, top: usize, frame: &mut Frame<'_>, area: Rect) {
    let (module, step) = (app.module(), app.step_label());
    let title = if step.is_empty() { format!(" {module} ") } else { format!(" {module} {} {step} ", theme.glyphs.dot) };
    let inner = open(&title, theme, frame, area);
    let width = usize::from(inner.width);
    if app.started.is_none() {
        return;
    }
    let mine = of_module(app);
    let (Some(modules), false) = (app.shown(), mine.is_empty()) else {
        let text = if mine.is_empty() {
            "no adapter has this module: move the cursor to one that has values, then i"
        } else {
            "this stage has made no step yet: the figures come with the first, Esc leaves"
        };
        frame.render_widget(Paragraph::new(fit::wrap(&[(text, theme.dim)], width)), inner);
        return;
    };
    // From one matrix on; what fits.
    let mut lines = vec![legend(theme, width)];
    for (at, matrix) in mine.into_iter().skip(top) {
        lines.push(Line::default());
        lines.extend(matrix_lines(app, theme, modules, (at, matrix), width));
    }
    let more = (top > 0, lines.len() > usize::from(inner.height));
    frame.render_widget(Paragraph::new(lines), inner);
    // Beside the matrices, where no text stands.
    let beside = u16::from(inner.width > 0);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), width: inner.width + beside, ..inner };
    overlay::beyond(more, theme, frame, body);
}

/// The overlay of a module: its box with the title, and the room in it.
pub(super) fn open(title: &str, theme: &Theme, frame: &mut Frame<'_>, area: Rect) -> Rect {
    let place = Rect {
        x: area.x + area.width / 20,
        y: area.y + area.height / 12,
        width: area.width - area.width / 10,
        height: area.height - area.height / 6,
    };
    let title = fit::cut(title, usize::from(place.width.saturating_sub(4)), theme);
    frame.render_widget(Clear, place);
    let block = super::block(theme, title, true);
    let inner = block.inner(place);
    frame.render_widget(block, place);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

fn legend(theme: &Theme, width: usize) -> Line<'static> {
    let keys = fit::cut("j k [ ] move, Enter looks into the first, Esc leaves", width, theme);
    let courses = "curves: all steps so far, from their least to their most";
    fit::facts(vec![fact(courses, theme.dim, 2), fact(keys, theme.dim, 5)], "  ", width)
}

fn named(theme: &Theme, name: &str, value: Option<String>, room: usize, weight: u8) -> Fact {
    let value = value.unwrap_or_else(|| theme.glyphs.none.to_owned());
    let gap = " ".repeat(room.saturating_sub(fit::width(&value)));
    Fact {
        spans: vec![Span::styled(format!("{name} "), theme.dim), Span::styled(format!("{gap}{value}"), theme.text)],
        weight,
    }
}

/// Name and shape; shares; importance; the courses.
fn matrix_lines(
    app: &App,
    theme: &Theme,
    modules: &Modules,
    (at, matrix): (usize, &MatrixInfo),
    width: usize,
) -> Vec<Line<'static>> {
    let value = |measure: Measure| {
        let value = measure.column(modules).get(at).copied().flatten().filter(|v| v.is_finite());
        value.map(|v| measure.show(v))
    };
    let name = fit::cut(&app.adapter_name(matrix.adapter), width.saturating_sub(16).max(6), theme);
    let entries = matrix.rows.saturating_mul(matrix.cols) as u64;
    let head = vec![
        fact(format!("{name} {}", matrix.factor), theme.title(), 9),
        fact(format!("{} x {}", matrix.rows, matrix.cols), theme.text, 8),
        fact(format!("{} entries", crate::text::short(entries)), theme.dim, 3),
    ];
    let shares = vec![
        named(theme, "ratio", value(Measure::Ratio), 6, 7),
        named(theme, "sparsity", value(Measure::Sparsity), 6, 9),
        named(theme, "retained", value(Measure::Retained), 6, 6),
        named(theme, "flips", value(Measure::Flips), 6, 5),
    ];
    let quantiles = modules.quantiles.get(at).copied().flatten();
    let quantile = |i: usize| quantiles.map(|q| significant(f64::from(q[i])));
    let importance = vec![
        named(theme, "importance mean", value(Measure::Importance), 7, 9),
        named(theme, "10%", quantile(0), 7, 6),
        named(theme, "50%", quantile(1), 7, 7),
        named(theme, "90%", quantile(2), 7, 6),
    ];
    let narrow = width < 2 * COURSE + 24;
    let room = if narrow { width.saturating_sub(11).min(COURSE) } else { COURSE };
    let [sparsity, means] = app.watch.history.course(at, room);
    let course = |name: &str, values: &[Option<f32>]| {
        let spans = vec![
            Span::styled(format!("{name} "), theme.dim),
            Span::styled(spark(values, theme.glyphs.spark), theme.series[0]),
        ];
        Fact { spans, weight: 5 }
    };
    let mut lines = vec![fit::facts(head, "  ", width), fit::facts(shares, "  ", width)];
    lines.push(fit::facts(importance, "  ", width));
    let (one, two) = (course("sparsity  ", &sparsity), course("importance", &means));
    if narrow {
        lines.push(fit::facts(vec![one], "  ", width));
        lines.push(fit::facts(vec![two], "  ", width));
    } else {
        lines.push(fit::facts(vec![one, two], "  ", width));
    }
    lines
}

/// A course as one character a value, from the least to the most; a flat one lies at the bottom.
pub(super) fn spark(values: &[Option<f32>], levels: [&str; 8]) -> String {
    let (low, high) = values.iter().flatten().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    let level = |v: f32| {
        let share = if high > low { (v - low) / (high - low) } else { 0.0 };
        levels[((share * 7.0).round() as usize).min(7)]
    };
    values.iter().map(|value| value.map_or(" ", level)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::module::{Factor, ModuleId, Projection};
    use crate::run::event::{AdapterInfo, Started};
    use crate::theme::Depth;
    use crate::theme::glyphs::{ASCII, UNICODE};
    use crate::ui::{export, picture};

    #[test]
    fn matrices_above_and_below_are_marked() {
        let theme = Theme::find("mono", Depth::None, true).unwrap();
        let module = ModuleId::new(0, Projection::QProj);
        let matrix = |adapter| MatrixInfo { module, adapter, factor: Factor::A, rows: 2, cols: 2 };
        let adapters = ["one", "two", "three"].map(|name| AdapterInfo { name: name.into(), ..AdapterInfo::default() });
        let (adapters, matrices) = (adapters.to_vec(), (0..3).map(matrix).collect());
        let mut app = App::new("x", false);
        app.started = Some(Started { layers: 1, adapters, matrices, ..Started::default() });
        app.modules = Some(Modules { step: 1, ratio: vec![Some(0.5); 3], ..Modules::default() });
        let marks = |top: usize| {
            let area = Rect::new(0, 0, 60, 15);
            let cells = picture::drawn((60, 15), |frame| draw(&app, &theme, top, frame, area)).unwrap();
            let text = export::text(&cells);
            (text.contains("^|"), text.contains("v|"), text.contains("three A"))
        };
        // Eleven lines: the keys, then six for each matrix.
        assert_eq!([0, 1, 2].map(marks), [(false, true, false), (true, true, true), (true, false, true)]);
    }

    #[test]
    fn a_course_goes_from_its_least_to_its_most() {
        let values = [Some(0.0), None, Some(0.5), Some(1.0)];
        assert_eq!(spark(&values, UNICODE.spark), "▁ ▅█");
        assert!(spark(&values, ASCII.spark).is_ascii());
        assert_eq!(spark(&[Some(3.0); 3], UNICODE.spark), "▁▁▁");
        assert_eq!(spark(&[], UNICODE.spark), "");
    }
}
