//! The files that are fetched, and how far each is.

use crate::app::setup::Hub;
use crate::hub::download::{Line as File, Standing, State};
use crate::run::estimate::bytes;
use crate::theme::Theme;
use crate::ui::{fit, overlay};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Columns of a file's figures.
const FIGURES: usize = 18;
/// Columns of the bar.
const BAR: usize = 20;

/// `34%, 4 MB/s, 0:42 left`.
pub(super) fn figures(standing: &Standing) -> String {
    let share = standing.done as f64 / standing.total.max(1) as f64;
    let rate = if standing.rate > 0.0 { format!(", {}/s", bytes(standing.rate as u64)) } else { String::new() };
    let left = standing.left.map(|s| format!(", {} left", fit::duration(s))).unwrap_or_default();
    format!("{:.0}%{rate}{left}", (share * 100.0).floor())
}

/// Draws it over the form, from the file `top` on; how far the files can be scrolled.
pub(super) fn draw(hub: &Hub, top: usize, theme: &Theme, frame: &mut Frame<'_>, area: Rect) -> usize {
    let width = usize::from(area.width).saturating_sub(4).min(92);
    if let Some(sentence) = &hub.failed {
        let room = usize::from(area.height).saturating_sub(3).max(1);
        let mut lines = fit::limit(fit::wrap(&[(sentence, theme.bad)], width), room, width, theme);
        lines.push(Line::styled(fit::cut("f tries again (what has come stays), esc closes", width, theme), theme.dim));
        overlay::popup(" not fetched ".to_owned(), lines, theme, frame, area);
        return 0;
    }
    let mut lines = Vec::new();
    let (mut title, mut most) = (" fetch ".to_owned(), 0);
    match &hub.fetching {
        Some(standing) if !standing.lines.is_empty() => {
            let (all, here) = (bytes(standing.total), bytes(standing.done));
            let share = standing.done as f64 / standing.total.max(1) as f64;
            let full = ((share * BAR as f64) as usize).min(BAR);
            let figures = format!(" {here} of {all}, {}", figures(standing));
            let [_, _, _, _, _, _, _, mark] = theme.glyphs.spark;
            lines.push(Line::from(vec![
                Span::styled(mark.repeat(full), theme.accent),
                Span::styled(".".repeat(BAR - full), theme.dim),
                Span::styled(fit::cut(&figures, width.saturating_sub(BAR), theme), theme.text),
            ]));
            let room = usize::from(area.height).saturating_sub(5).clamp(1, 16);
            let count = standing.lines.len();
            most = count.saturating_sub(room);
            let from = top.min(most);
            if most > 0 {
                title = format!(" fetch, {} to {} of {count} (j, k) ", from + 1, from + room);
            }
            lines.extend(standing.lines.iter().skip(from).take(room).map(|file| line(file, theme, width)));
        }
        _ => lines.push(Line::styled(fit::pad("asking the hub for the files ...", width, theme), theme.dim)),
    }
    let keys = fit::cut("esc cancels (what has come stays), enter goes on behind the form", width, theme);
    lines.push(Line::styled(keys, theme.dim));
    overlay::popup(title, lines, theme, frame, area);
    most
}

fn line(file: &File, theme: &Theme, width: usize) -> Line<'static> {
    let (text, style) = match &file.state {
        State::Waiting => ("waits".to_owned(), theme.dim),
        State::Locked => ("another fetches".to_owned(), theme.warn),
        State::Again => (format!("again at {}", bytes(file.done)), theme.warn),
        State::Running => (format!("{} of {}", bytes(file.done), bytes(file.size)), theme.accent),
        State::Done => (bytes(file.size), theme.good),
        State::Failed(_) => ("failed".to_owned(), theme.bad),
    };
    let figures = fit::pad(&text, FIGURES, theme);
    let name = fit::pad(&file.path, width.saturating_sub(FIGURES + 1), theme);
    Line::from(vec![Span::styled(format!("{name} "), theme.text), Span::styled(figures, style)])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::setup::{Message, Setup, update};
    use crate::hub::desk::Answer;
    use crate::hub::reference::Reference;
    use crate::theme::Depth;
    use crate::ui::{export, picture};
    use std::path::Path;

    #[test]
    fn a_long_list_of_files_says_where_one_is_and_ends_with_its_last_file() {
        let theme = Theme::find("mono", Depth::None, true).unwrap();
        let text = "base = \"b\"\n[data]\ntrain = \"t\"\ndev = \"d\"\n";
        let mut form = Setup::new(Path::new("/p/r.toml"), text, Some(text.into()), None).unwrap();
        let of = Reference { id: "lab/a".into(), revision: "main".into() };
        form.seen.named.lacking = vec![("base".into(), of)];
        let file = |i: u64| File { path: format!("part-{i:02}"), size: 1, done: 0, state: State::Waiting };
        let standing = |files: u64| {
            let lines = (1..=files).map(file).collect();
            Standing { lines, total: files, ..Standing::default() }
        };
        let shown = |form: &Setup| {
            let area = Rect::new(0, 0, 60, 15);
            let over = |frame: &mut Frame<'_>| crate::ui::setup::overlay::draw(form, &theme, frame, area);
            export::text(&picture::drawn((60, 15), over).unwrap())
        };
        update(&mut form, Message::Key("f".into()));
        update(&mut form, Message::Hub(Answer::Fetching(standing(20))));
        let first = shown(&form);
        assert!(first.contains(" fetch, 1 to 10 of 20 (j, k) ") && first.contains("part-10"), "{first}");
        let keys = std::iter::repeat_n("j", 30).chain(["k"]);
        keys.for_each(|key| drop(update(&mut form, Message::Key(key.into()))));
        let last = shown(&form);
        assert!(last.contains(" fetch, 10 to 19 of 20 (j, k) ") && !last.contains("part-20"), "{last}");
        // Those that all have room need none.
        update(&mut form, Message::Hub(Answer::Fetching(standing(3))));
        let few = shown(&form);
        assert!(few.contains(" fetch ") && !few.contains("(j, k)") && few.contains("part-01"), "{few}");
    }
}
