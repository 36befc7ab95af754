//! The hub in the form: pickers with its results and what there is to know of the one under the cursor.

use crate::app::action::setup::Form;
use crate::app::action::{self, Action};
use crate::app::picker::far::State;
use crate::app::picker::{Far, Item, Picker};
use crate::app::setup::Setup;
use crate::hub::choice::Kind;
use crate::hub::search::HINT;
use crate::run::estimate::bytes;
use crate::text::counted;
use crate::theme::Theme;
use crate::ui::fit;
use crate::ui::overlay::{centred, window};
use crate::ui::palette::{boxed, first};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use std::path::Path;

/// Columns and most rows, borders included.
const SIZE: (u16, u16) = (150, 40);
/// From this width on the details stand beside the list.
const BESIDE: u16 = 110;
/// Columns of where an entry is.
const MARK: usize = 7;
/// Least columns of a name.
const NAME: usize = 24;

/// A column: its heading, its width, whether numbers stand in it.
type Column = (&'static str, usize, bool);

const BASE: [Column; 6] = [
    ("params", 6, true),
    ("type", 4, false),
    ("loads", 5, true),
    ("likes", 5, true),
    ("updated", 8, false),
    ("licence", 10, false),
];
const ADAPTER: [Column; 7] = [
    ("rank", 4, true),
    ("mods", 4, true),
    ("size", 7, true),
    ("fit", 4, false),
    ("loads", 5, true),
    ("likes", 5, true),
    ("made for", 24, false),
];

/// Draws a picker with what the hub has for it.
pub(super) fn draw(setup: &Setup, picker: &Picker, far: &Far, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let inner = boxed(&picker.title, theme, frame, centred(area, SIZE.0, SIZE.1));
    if inner.height == 0 || inner.width < 4 {
        return;
    }
    let (list, side) = split(inner);
    let width = usize::from(list.width);
    let (text, column) = window(picker.input.text(), picker.input.cursor(), width - 3);
    let mut lines = vec![Line::from(vec![Span::styled("> ", theme.accent), Span::styled(text, theme.text)])];
    let rows = usize::from(list.height);
    let below = below(picker, far, theme, width, if rows < 12 { 1 } else { rows / 4 });
    let columns = columns(far.kind, width);
    if rows >= 9 {
        lines.push(headings(columns, theme, width));
    }
    let shown = rows.saturating_sub(lines.len() + below.len() + usize::from(rows >= 4));
    if picker.count() == 0 && shown > 0 {
        let waits = picker.is_waiting() || far.state == State::Searching || far.asks_base;
        let sentence = match (waits, picker.input.text().is_empty()) {
            (true, _) => "looking ...",
            (false, true) => "nothing was found; a path can be typed",
            (false, false) => "nothing fits; enter takes it as a path",
        };
        lines.push(Line::styled(fit::cut(sentence, width, theme), theme.dim));
    }
    let from = first(picker.at, shown);
    for at in from..(from + shown).min(picker.count()) {
        let Some(item) = picker.item(at) else { break };
        lines.push(row(item, at == picker.at, columns, theme, width));
    }
    lines.truncate(rows.saturating_sub(below.len() + usize::from(rows >= 4)));
    if rows >= 4 {
        lines.resize(rows - below.len() - 1, Line::default());
        lines.push(state(picker, far, theme, width));
    }
    lines.extend(below);
    frame.render_widget(Paragraph::new(lines), list);
    if let Some(place) = side {
        let width = usize::from(place.width);
        let lines = fit::limit(
            about(setup, picker, inner.width >= BESIDE, theme, width),
            usize::from(place.height),
            width,
            theme,
        );
        frame.render_widget(Paragraph::new(lines), place);
    }
    frame.set_cursor_position((list.x + 2 + column as u16, list.y));
}

/// The places of list and details: beside each other, one below the other, or the list alone.
fn split(inner: Rect) -> (Rect, Option<Rect>) {
    if inner.width >= BESIDE {
        let side = (inner.width * 2 / 5).min(inner.width - 78);
        let list = Rect { width: inner.width - side - 2, ..inner };
        return (list, Some(Rect { x: list.right() + 2, width: side, ..inner }));
    }
    if inner.height < 16 {
        return (inner, None);
    }
    let below = inner.height * 2 / 5;
    let list = Rect { height: inner.height - below - 1, ..inner };
    (list, Some(Rect { y: list.bottom() + 1, height: below, ..inner }))
}

/// The columns that have room beside a name.
fn columns(kind: Kind, width: usize) -> &'static [Column] {
    let all: &'static [Column] = match kind {
        Kind::Base => &BASE,
        Kind::Adapter => &ADAPTER,
    };
    let mut room = width.saturating_sub(NAME + 1 + MARK);
    let fits = all.iter().take_while(|(_, width, _)| {
        let has = *width < room;
        room = room.saturating_sub(width + 1);
        has
    });
    &all[..fits.count()]
}

/// Columns of the name.
fn name(columns: &[Column], width: usize) -> usize {
    width.saturating_sub(1 + MARK + columns.iter().map(|(_, width, _)| width + 1).sum::<usize>())
}

fn cell(text: &str, (_, width, number): Column, theme: &Theme) -> String {
    // Of a date the century goes first.
    let text = if width == 8 { text.strip_prefix("20").filter(|t| t.len() == 8).unwrap_or(text) } else { text };
    let text = fit::cut(text, width, theme);
    let gap = " ".repeat(width.saturating_sub(fit::width(&text)));
    if number { format!(" {gap}{text}") } else { format!(" {text}{gap}") }
}

fn headings(columns: &[Column], theme: &Theme, width: usize) -> Line<'static> {
    let mut text = format!("{} {}", fit::pad("name", name(columns, width), theme), fit::pad("", MARK, theme));
    for column in columns {
        text += &cell(column.0, *column, theme);
    }
    Line::styled(fit::cut(&text, width, theme), theme.dim)
}

fn row(item: &Item, chosen: bool, columns: &[Column], theme: &Theme, width: usize) -> Line<'static> {
    let room = name(columns, width);
    let label = fit::pad(
        &if item.mark.is_empty() && item.folder { format!("{}/", item.label) } else { item.label.clone() },
        room,
        theme,
    );
    let mark = format!(" {}", fit::pad(item.mark, MARK, theme));
    let rest = width.saturating_sub(room + 1 + MARK);
    // Where few columns have room, the words of an entry say more.
    let told = item.columns.is_empty() || (columns.len() < item.columns.len() && !item.detail.is_empty());
    let about = match &item.problem {
        Some(problem) => format!(" {}", why(problem)),
        None if told => format!(" {}", item.detail),
        None => columns.iter().zip(&item.columns).map(|(column, text)| cell(text, *column, theme)).collect(),
    };
    let about = fit::pad(&about, rest, theme);
    let refused = item.problem.is_some();
    if chosen {
        let style = if refused { theme.dim.patch(theme.selected()) } else { theme.selected() };
        return Line::styled(format!("{label}{mark}{about}"), style);
    }
    let plain = if refused { theme.dim } else { theme.text };
    let place = match item.mark {
        "cached" | "here" => theme.good,
        "gated" | "private" => theme.warn,
        _ => theme.accent,
    };
    let figures = if told || refused { theme.dim } else { theme.text };
    Line::from(vec![
        Span::styled(label, plain),
        Span::styled(mark, if refused { theme.dim } else { place }),
        Span::styled(about, figures),
    ])
}

/// A reason without the file that it was found in: there is room for that below the list.
fn why(problem: &str) -> &str {
    let is_file = |name: &str| {
        let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
        !name.contains(' ') && matches!(ending, Some("json" | "safetensors" | "gguf"))
    };
    problem.split_once(": ").filter(|(name, _)| is_file(name)).map_or(problem, |(_, why)| why)
}

/// What happens at the hub, in a line.
fn state(picker: &Picker, far: &Far, theme: &Theme, width: usize) -> Line<'static> {
    let dots = theme.glyphs.ellipsis;
    let count = counted(far.len(), "result");
    let silent = match picker.unsaid {
        0 => String::new(),
        1 => "; 1 here doesn't say and is left out".to_owned(),
        n => format!("; {n} here don't say and are left out"),
    };
    let (text, style) = match (&far.wrong, &far.state, &far.base) {
        (Some(wrong), ..) => (wrong.clone(), theme.warn),
        (None, State::Refused(sentence), _) => (format!("{sentence}{silent}"), theme.warn),
        (None, _, Some(base)) if far.asks_base => (format!("searching adapters of {}{dots}", base.id), theme.dim),
        (None, State::Searching, _) => (format!("searching{dots}"), theme.dim),
        (None, State::Idle, _) => ("a path of this machine; ctrl-u clears it for the hub".to_owned(), theme.dim),
        (None, State::More, _) => (format!("{count} of the hub and more, by {}{silent}", far.sort.name()), theme.dim),
        (None, State::All, _) => (format!("{count} of the hub, by {}{silent}", far.sort.name()), theme.dim),
    };
    let place = match picker.count() {
        0 => String::new(),
        count => format!("{}/{count}", picker.at + 1),
    };
    let room = width.saturating_sub(fit::width(&place) + 1);
    Line::from(vec![Span::styled(fit::pad(&text, room, theme), style), Span::styled(format!(" {place}"), theme.dim)])
}

/// Why nothing was picked, what is wrong with what is under the cursor, or what can be typed.
fn below(picker: &Picker, far: &Far, theme: &Theme, width: usize, most: usize) -> Vec<Line<'static>> {
    let problem = picker.item(picker.at).and_then(|item| item.problem.as_ref());
    let (text, style) = match (&picker.note, problem) {
        (Some(note), _) => (note.clone(), theme.warn),
        (None, Some(problem)) => (problem.clone(), theme.warn),
        (None, None) => {
            let key = match action::key_of(Action::Form(Form::Sort)) {
                "" => String::new(),
                key => format!("{key} order  "),
            };
            let hint =
                if far.base.is_some() && far.kind == Kind::Adapter { "by:ORG license:mit lang:ja" } else { HINT };
            (format!("{key}{hint}"), theme.dim)
        }
    };
    fit::limit(fit::wrap(&[(text.as_str(), style)], width), most, width, theme)
}

/// What there is to know of what is under the cursor.
fn about(setup: &Setup, picker: &Picker, beside: bool, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let Some(item) = picker.item(picker.at) else { return Vec::new() };
    let Some(reference) = setup.highlighted() else {
        let place = crate::text::printable(&item.value.display().to_string()).into_owned();
        return fit::wrap(
            &[
                (&item.label, theme.title()),
                (&format!(" {}", item.detail), theme.text),
                (&format!(" {place}"), theme.dim),
            ],
            width,
        );
    };
    let commit: String = reference.revision.chars().take(12).collect();
    let mut lines = fit::wrap(&[(&reference.id, theme.title()), (&format!(" @ {commit}"), theme.dim)], width);
    let mut say = |text: &str, style: Style| lines.extend(fit::wrap(&[(text, style)], width));
    let details = match setup.details() {
        None => {
            say(&figures(item), theme.text);
            say("looking ...", theme.dim);
            return lines;
        }
        Some(Err(why)) => {
            say(&figures(item), theme.text);
            say(why.sentence(), theme.warn);
            return lines;
        }
        Some(Ok(details)) => details,
    };
    let mut facts: Vec<String> = vec![details.about.clone(), figures(item)];
    if let Some(fits) = &details.facts {
        facts.push(format!("rank {}, {}", fits.rank, counted(fits.modules, "module")));
    }
    facts.retain(|text| !text.is_empty());
    say(&facts.join("; "), theme.text);
    if let Some(problem) = &details.problem {
        say(problem, theme.bad);
    }
    if item.mark == "gated" && !details.note.as_ref().is_some_and(|note| note.contains("gated")) {
        say(&format!("gated: ask for access at {}", details.page), theme.warn);
    }
    if let Some(note) = &details.note {
        say(note, theme.warn);
    }
    if details.needed > 0 {
        let fetch = match details.missing {
            0 => "all of it here".to_owned(),
            missing => format!("{} to fetch", bytes(missing)),
        };
        let (read, all) = (details.read, counted(details.files.len(), "file"));
        say(&format!("{read} of {all} needed, {}, {fetch}", bytes(details.needed)), theme.text);
    }
    let mut files: Vec<&(String, u64)> = details.files.iter().collect();
    files.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let largest: Vec<String> = files.iter().take(4).map(|(path, size)| format!("{path} {}", bytes(*size))).collect();
    let more = if files.len() > 4 { format!("  {}", theme.glyphs.ellipsis) } else { String::new() };
    say(&format!("{}{more}", largest.join("  ")), theme.dim);
    if !details.card.is_empty() {
        if beside {
            lines.push(Line::default());
        }
        for line in details.card.lines() {
            lines.extend(fit::wrap(&[(line, theme.text)], width));
        }
    }
    lines
}

/// The figures of an entry of the hub in words.
fn figures(item: &Item) -> String {
    let [parameters, dtype, _, _, updated, license] = item.columns.as_slice() else {
        return match item.columns.as_slice() {
            [_, _, _, _, loads, likes, on] if on.is_empty() => format!("{loads} downloads, {likes} likes"),
            [_, _, _, _, loads, likes, on] => format!("made for {on}; {loads} downloads, {likes} likes"),
            _ => item.detail.clone(),
        };
    };
    let mut all = Vec::new();
    if !parameters.is_empty() {
        all.push(format!("{parameters} parameters {dtype}"));
    }
    all.push(format!("licence {license}"));
    all.push(format!("updated {updated}"));
    all.join(", ")
}
