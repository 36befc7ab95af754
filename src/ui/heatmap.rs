//! Layers × projections: layers run to the right, so that a model of 30 layers fits 80 columns. What does not
//! fit scrolls with the cursor.

mod map;

pub use map::Map;

use super::paint::Paint;
use super::{fit, readout, timeline};
use crate::app::ratios::{Marks, marks};
use crate::app::{App, Grid, Measure};
use crate::module::Projection;
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

/// Draws the map, its legend and what is under the cursor.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(map) = Map::new(app, area) else {
        let text = if app.started.is_some() { "no room for the map" } else { "waiting for the worker" };
        frame.render_widget(Line::styled(text, theme.dim), area);
        return;
    };
    let paint = Paint::new(app, theme);
    let grid = paint.grid(app);
    let buf = frame.buffer_mut();
    if map.time.height > 0 {
        timeline::draw(app, theme, buf, map.time);
    }
    header(app, theme, buf, &map);
    names(app, theme, buf, &map);
    // Numbers change with every step: over a slow link the colours say it.
    let number = if theme.ramp.is_coarse() { 0 } else { number_width(&paint, &map, grid.as_ref()) };
    cells(app, theme, buf, &map, grid.as_ref(), (&paint, number));
    if let Some(grid) = &grid {
        means(app, theme, buf, &map, grid, (&paint, number));
        // Without a read-out its place is the only one for what a draft would bring.
        let alone = map.read_out.height == 0;
        let draft = alone.then(|| super::ratios::draft(app, theme, usize::from(area.width))).flatten();
        match draft {
            Some(line) if map.legend < area.bottom() => {
                buf.set_line(area.x, map.legend, &line, area.width);
            }
            _ => legend(app, theme, buf, &map, (grid, &paint), area),
        }
        if app.measure == Measure::Sensitivity {
            super::sensitivity::draw(app, theme, frame, map.read_out);
        } else {
            readout::draw(app, theme, frame, map.read_out);
        }
    } else {
        waiting(app, theme, frame, &map, area);
    }
}

/// Why the map is empty, and what there is to see meanwhile.
fn waiting(app: &App, theme: &Theme, frame: &mut Frame<'_>, map: &Map, area: Rect) {
    // Every stage that trains tells importances, whether it prunes or not.
    let (trains, past) = (app.stage.steps > 0 || app.stage.of == 0, !app.watch.history.is_empty());
    let text = match (app.state.is_over(), trains, past) {
        _ if app.measure == Measure::Sensitivity => super::sensitivity::nothing(app),
        (true, _, false) => "this run has made no step".to_owned(),
        (true, _, true) => "this stage has made no step: [ goes back to those of the stage before".to_owned(),
        (false, _, true) => "the map fills with the first step: [ goes back to earlier ones".to_owned(),
        (false, true, false) => "the map fills with the first step".to_owned(),
        (false, false, false) => format!(
            "stage {} of {}, {}, does not train: the map fills when one does",
            app.stage.index + 1,
            app.stage.of,
            app.stage.method
        ),
    };
    let lines = fit::wrap(&[(&text, theme.dim)], usize::from(area.width));
    let place = Rect { y: map.legend.min(area.bottom()), height: area.bottom().saturating_sub(map.legend), ..area };
    frame.render_widget(ratatui::widgets::Paragraph::new(lines), place);
}

/// Numbers of the layers above their cells, and what lies beyond the edges.
fn header(app: &App, theme: &Theme, buf: &mut Buffer, map: &Map) {
    let y = map.origin.1 - 1;
    let left = map.origin.0 - map.names;
    buf.set_stringn(left, y, "layer", usize::from(map.names), theme.dim);
    let (first, shown) = map.layers;
    let digits = (app.layers().saturating_sub(1)).to_string().len() as u16;
    // The next round number of layers whose labels don't touch.
    let every = [1, 2, 5, 10, 20, 50, 100].into_iter().find(|n| n * map.cell.0 > digits).unwrap_or(100);
    // Over the middle of the cells, where their values stand.
    let at = |layer: usize, text: &str| map.place(layer, 0).x + map.cell.0.saturating_sub(text.len() as u16) / 2;
    for layer in (first..first + shown).filter(|l| l.is_multiple_of(usize::from(every))) {
        let text = layer.to_string();
        // Not into the cursor's number.
        let near = layer.abs_diff(app.cursor.0) * usize::from(map.cell.0) <= usize::from(digits);
        if !near && at(layer, &text) + text.len() as u16 <= map.place(first + shown - 1, 0).right() {
            buf.set_string(at(layer, &text), y, text, theme.dim);
        }
    }
    if (first..first + shown).contains(&app.cursor.0) {
        let text = app.cursor.0.to_string();
        let last = map.place(first + shown - 1, 0).right().saturating_sub(text.len() as u16);
        buf.set_string(at(app.cursor.0, &text).min(last), y, text, theme.title());
    }
    if first > 0 {
        buf.set_string(map.origin.0 - 1, y, theme.glyphs.more[0], theme.warn);
    }
    if first + shown < app.layers() {
        buf.set_string(map.place(first + shown - 1, 0).right(), y, theme.glyphs.more[1], theme.warn);
    }
    if map.means.0 {
        let x = map.place(first + shown - 1, 0).right() + 3;
        buf.set_string(x, y, if app.measure == Measure::Sensitivity { "all" } else { "mean" }, theme.dim);
    }
}

fn names(app: &App, theme: &Theme, buf: &mut Buffer, map: &Map) {
    let left = map.origin.0 - map.names;
    for (row, p) in map.rows.iter().enumerate() {
        let name = Projection::ALL[*p].name();
        let name = if map.names < 11 { name.trim_end_matches("_proj") } else { name };
        let style = if *p == app.cursor.1 { theme.title() } else { theme.text };
        let y = map.place(map.layers.0, row).y + (map.cell.1 - 1) / 2;
        buf.set_stringn(left, y, name, usize::from(map.names) - 1, style);
    }
    // What lies beyond the edges, as for the layers.
    let last = map.rows.len().saturating_sub(1);
    for (more, row, glyph) in [(map.more.0, 0, 2), (map.more.1, last, 3)] {
        if more {
            let y = map.place(map.layers.0, row).y;
            buf.set_string(map.origin.0 - 1, y, theme.glyphs.more[glyph], theme.warn);
        }
    }
}

/// Columns for a value in each cell, within the cursor's brackets; 0 unless all values fit: among shades a few
/// numbers would look like other values.
fn number_width(paint: &Paint<'_>, map: &Map, grid: Option<&Grid>) -> usize {
    let room = usize::from(map.cell.0.saturating_sub(2));
    let fits = |value: &f32| paint.show_within(*value, room).is_some();
    let all = grid.is_some_and(|grid| {
        let layers = map.layers.0..(map.layers.0 + map.layers.1).min(grid.cells.len());
        let shown = |layer: usize| map.rows.iter().filter_map(move |p| grid.cells[layer][*p]).chain(grid.layers[layer]);
        layers.flat_map(shown).all(|value| fits(&value))
    });
    if all && room >= 3 { room } else { 0 }
}

fn cells(
    app: &App,
    theme: &Theme,
    buf: &mut Buffer,
    map: &Map,
    grid: Option<&Grid>,
    (paint, number): (&Paint<'_>, usize),
) {
    let marks = if app.is_live() { marks(app) } else { Vec::new() };
    for layer in map.layers.0..map.layers.0 + map.layers.1 {
        for (row, p) in map.rows.iter().enumerate() {
            let value = grid.and_then(|g| g.cells.get(layer)).and_then(|cells| cells[*p]);
            let held = held(app, app.looks.steady.cell(layer, *p));
            let look = Look {
                here: (layer, *p) == app.cursor,
                selected: app.ratios.selects(app.cursor, layer, *p),
                marks: marks.get(layer).map(|row| row[*p]).unwrap_or_default(),
            };
            cell(paint, (value, held), theme, buf, map.place(layer, row), look, number);
        }
    }
}

/// The colour that a value on the border of two keeps over a slow link, where the map shows what it follows: the live step.
fn held(app: &App, level: Option<usize>) -> Option<usize> {
    level.filter(|_| app.is_live() && !app.is_difference())
}

/// What a cell shows beside its value.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    here: bool,
    selected: bool,
    marks: Marks,
}

#[allow(clippy::too_many_arguments)]
fn cell(
    paint: &Paint<'_>,
    (value, held): (Option<f32>, Option<usize>),
    theme: &Theme,
    buf: &mut Buffer,
    place: Rect,
    Look { here, selected, marks: Marks { draft, pending } }: Look,
    number: usize,
) {
    let width = usize::from(place.width);
    let middle = place.y + (place.height - 1) / 2;
    let (marks, text_style) = match value {
        None => {
            let x = place.x + (place.width - 1) / 2;
            buf.set_string(x, middle, theme.glyphs.none, theme.dim);
            (theme.title(), theme.dim)
        }
        Some(value) => {
            let level = held.unwrap_or_else(|| paint.level(value));
            let (text, style) = paint.paint(level, width);
            for y in place.top()..place.bottom() {
                buf.set_string(place.x, y, &text, style);
            }
            (paint.cursor(level), paint.behind(level))
        }
    };
    // The number itself, where the cell has room for it and the cursor's brackets.
    let number = value.filter(|_| number > 0).and_then(|v| paint.show_within(v, number));
    if let Some(number) = &number {
        buf.set_string(place.x, middle, format!("{number:^width$}"), text_style);
    }
    let glyphs = &theme.glyphs;
    if selected && width >= 2 {
        buf.set_string(place.x, middle, glyphs.chosen[0], marks);
        buf.set_string(place.right() - 1, middle, glyphs.chosen[1], marks);
    } else if selected {
        buf.set_string(place.x, middle, glyphs.small_chosen, marks);
    }
    if draft || pending {
        let mark = if draft { glyphs.draft } else { glyphs.pending };
        buf.set_string(place.right() - 1, place.bottom() - 1, mark, marks);
    }
    if here {
        if width >= 2 {
            for y in place.top()..place.bottom() {
                buf.set_string(place.x, y, theme.glyphs.cursor[0], marks);
                buf.set_string(place.right() - 1, y, theme.glyphs.cursor[1], marks);
            }
        } else {
            buf.set_string(place.x, middle, theme.glyphs.small_cursor, marks);
        }
    }
}

/// The means of the projections at the right, of the layers below.
fn means(app: &App, theme: &Theme, buf: &mut Buffer, map: &Map, grid: &Grid, (paint, number): (&Paint<'_>, usize)) {
    let (first, shown) = map.layers;
    let right = map.place(first + shown - 1, 0).right();
    let beside = |buf: &mut Buffer, y: u16, value: Option<f32>, style: Style| {
        if let Some(value) = value {
            buf.set_string(right, y, format!("{:>7}", paint.show(value)), style);
        }
    };
    if map.means.0 {
        for (row, p) in map.rows.iter().enumerate() {
            let style = if *p == app.cursor.1 { theme.title() } else { theme.text };
            let y = map.place(first, row).y + (map.cell.1 - 1) / 2;
            beside(buf, y, grid.projections[*p], style);
        }
    }
    if map.means.1 {
        let y = map.origin.1 + map.rows.len() as u16 * map.cell.1;
        let name = if app.measure == Measure::Sensitivity { "layer" } else { "mean" };
        buf.set_stringn(map.origin.0 - map.names, y, name, usize::from(map.names), theme.dim);
        for layer in first..first + shown {
            let place = Rect { y, height: 1, ..map.place(layer, 0) };
            let value = grid.layers.get(layer).copied().flatten();
            let held = held(app, app.looks.steady.layer(layer));
            cell(paint, (value, held), theme, buf, place, Look::default(), number);
        }
        beside(buf, y, grid.all, theme.text);
    }
}

/// What the colours stand for, with the cursor's own colour marked.
fn legend(app: &App, theme: &Theme, buf: &mut Buffer, map: &Map, (grid, paint): (&Grid, &Paint<'_>), area: Rect) {
    let held = held(app, app.looks.steady.cell(app.cursor.0, app.cursor.1));
    let here = grid.module(app.module()).map(|v| held.unwrap_or_else(|| paint.level(v)));
    let levels = paint.levels();
    let each = if levels > 12 { 1 } else { 2 };
    let y = map.legend;
    if y >= area.bottom() {
        return;
    }
    let mut x = area.x;
    let mut put = |x: u16, text: &str, style: Style| {
        let room = area.right().saturating_sub(x);
        if x < area.right() { buf.set_stringn(x, y, text, usize::from(room), style).0 } else { x }
    };
    let name = match &app.watch.others.base {
        _ if app.measure == Measure::Sensitivity => super::sensitivity::title(app),
        Some(base) => {
            // In full it stands above the map.
            let run = fit::cut(&base.run.name, (usize::from(area.width) / 8).max(8), theme);
            format!("{} minus {run}", app.measure.label())
        }
        None if paint.change => format!("change of {}", app.measure.label()),
        // A ratio is asked for, not foretold.
        None if app.is_live() && app.measure.follows_ratios() && app.measure != Measure::Ratio => {
            let of = match (app.ratios.draft.is_empty(), app.pending.is_empty()) {
                (false, _) => " with the draft",
                (true, false) => " as asked",
                (true, true) => "",
            };
            format!("{}{of}", app.measure.label())
        }
        None => app.measure.label().to_owned(),
    };
    x = put(x, &name, theme.title());
    x = put(x, &format!("  {} ", paint.show(paint.scale.low)), theme.dim);
    for level in 0..levels {
        let (text, style) = paint.paint(level, each);
        let text = match (here == Some(level), each) {
            (true, 2) => "[]",
            (true, _) => "|",
            _ => &text,
        };
        x = put(x, text, if here == Some(level) { paint.cursor(level) } else { style });
    }
    x = put(x, &format!(" {}", paint.show(paint.scale.high)), theme.dim);
    // Small cells have no numbers.
    if let Some(value) = grid.module(app.module()).filter(|_| paint.change) {
        let value = format!("  here {:>6}", paint.show(value));
        if usize::from(area.right().saturating_sub(x)) >= value.len() {
            x = put(x, &value, theme.text);
        }
    }
    let meaning = if paint.change { app.measure.change_unit() } else { app.measure.meaning() };
    if usize::from(area.right().saturating_sub(x)) >= meaning.len() + 2 {
        put(x + 2, meaning, theme.dim);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::Message;
    use crate::app::update::update;
    use crate::run::RunState;
    use crate::run::event::{Event, EventBody, Modules, Stage, Started};
    use crate::theme::Depth;

    #[test]
    fn projections_beyond_the_edges_are_marked() {
        let theme = Theme::find("mono", Depth::None, true).unwrap();
        let mut app = App::new("x", false);
        app.started = Some(Started { layers: 2, ..Started::default() });
        let area = Rect::new(0, 0, 40, 6);
        let lines = |app: &App| -> Vec<String> {
            let cells = super::super::picture::drawn((40, 6), |frame| draw(app, &theme, frame, area)).unwrap();
            super::super::export::text(&cells).lines().map(str::to_owned).collect()
        };
        app.cursor = (1, 0);
        let first = lines(&app);
        assert!(first[1].starts_with("q_proj     ") && first[4].starts_with("o_proj    v"), "{first:?}");
        app.cursor = (1, 6);
        let last = lines(&app);
        assert!(last[1].starts_with("o_proj    ^") && last[4].starts_with("down_proj  "), "{last:?}");
    }

    #[test]
    fn an_empty_map_says_what_fills_it() {
        let theme = Theme::find("mono", Depth::None, true).unwrap();
        let mut app = App::new("x", false);
        let mut shown = |body: EventBody, state| {
            let event = Event { v: 1, seq: 0, t: 0.0, body };
            update(&mut app, Message::Run { events: vec![event], state, caught_up: true });
            let area = Rect::new(0, 0, 80, 20);
            let cells = super::super::picture::drawn((80, 20), |frame| draw(&app, &theme, frame, area)).unwrap();
            super::super::export::text(&cells)
        };
        let stage =
            |index, steps| EventBody::Stage(Stage { index, of: 3, steps, method: "m".into(), ..Stage::default() });
        let started = EventBody::Started(Box::new(Started { layers: 2, ..Started::default() }));
        let running = RunState::Running;
        assert!(shown(started, running).contains("the map fills with the first step"));
        assert!(shown(stage(0, 0), running).contains("stage 1 of 3, m, does not train: the map fills when one does"));
        assert!(shown(stage(1, 5), running).contains("the map fills with the first step"));
        assert!(shown(stage(1, 5), RunState::Failed).contains("this run has made no step"));
        let modules = Modules { step: 1, ratio: vec![Some(0.0)], ..Modules::default() };
        shown(EventBody::Modules(modules), running);
        assert!(shown(stage(2, 5), running).contains("the map fills with the first step: [ goes back"));
        assert!(shown(stage(2, 5), RunState::Crashed).contains("this stage has made no step: [ goes back"));
        // One without steps of its own shows the last one's, and says so.
        let past = shown(stage(2, 0), running);
        assert!(past.contains("this stage has no steps: step 1 of 5 of stage 2, m") && past.contains("mean"), "{past}");
    }
}
