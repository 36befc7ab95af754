//! What the draft does, measured: the loss of each dev document and the summaries, beside what they are now.

use super::marks::{self, Piece};
use super::overlay::centred;
use super::ratios::spelled;
use super::{fit, overlay};
use crate::app::App;
use crate::app::ratios::{suggest, trial};
use crate::run::what_if::{Change, Progress, Summary, WhatIf};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

/// Columns at most, borders included.
const WIDTH: u16 = 108;

/// Draws it over `area`, from line `top` on.
pub fn draw(app: &App, theme: &Theme, top: usize, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(centred(area, WIDTH, area.height).width).saturating_sub(4);
    let most = overlay::reaching("what the draft does", lines(app, theme, width), top, theme, frame, area);
    app.looks.reach.note(most);
}

/// Where the draft comes from, if it was looked for.
fn proposal(app: &App, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let Some(proposal) = suggest::proposed(app) else { return Vec::new() };
    let mut lines = fit::wrap(&[(&spelled(&suggest::worth(proposal), theme), theme.title())], width);
    let [[from, to], [check_from, check_to]] = proposal.documents;
    let same = if from == check_from { "; too few to verify with others" } else { "" };
    let text = format!(
        "chosen on dev documents {} to {to}, verified on {} to {check_to}{same}; as things stand: proposal {}, one ratio \
         for all {}; {} what-ifs, {} times the slopes",
        from + 1,
        check_from + 1,
        proposal.verified[0].shown(4),
        proposal.verified[1].shown(4),
        proposal.measured,
        proposal.slopes
    );
    lines.extend(fit::wrap(&[(&spelled(&text, theme), theme.text)], width));
    let groups: Vec<String> =
        proposal.groups.iter().map(|(name, ratio)| format!("{name} {:.0} %", 100.0 * ratio)).collect();
    lines.extend(fit::wrap(&[("mean ratios: ", theme.dim), (&groups.join(", "), theme.text)], width));
    lines.push(Line::default());
    lines
}

/// All lines.
fn lines(app: &App, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines = proposal(app, theme, width);
    let Some(found) = &app.ratios.trial.found else {
        let text = match trial::words(app) {
            Some(words) => format!("{words} ..."),
            None => "There is no draft to measure: + - r R P edit the ratios first.".to_owned(),
        };
        lines.extend(fit::wrap(&[(&text, theme.dim)], width));
        return lines;
    };
    let style = match found.state {
        Progress::Failed | Progress::Cancelled => theme.warn,
        _ => theme.title(),
    };
    let is_known = |_: &Change| !matches!(found.state, Progress::Failed | Progress::Cancelled);
    let rouge = found
        .rouge
        .filter(is_known)
        .map_or_else(String::new, |rouge| format!("; ROUGE-L {} ({} written)", rouge.shown(1), found.summaries.len()));
    lines.extend(fit::wrap(&[(&spelled(&format!("{}{rouge}", found.line()), theme), style)], width));
    if found.state == Progress::Failed {
        return lines;
    }
    lines.extend(fit::wrap(&[(&spelled(&figures(found), theme), theme.text)], width));
    lines.push(Line::styled(fit::cut(&as_they_were(found), width, theme), theme.dim));
    if !found.losses.is_empty() {
        // The change first where there is no room for all.
        let name_width = width.saturating_sub(35).clamp(8, 24);
        let row = |name: &str, [change, tokens, now, draft]: [String; 4], style| {
            let row = format!("{} {change:>9} {tokens:>7} {now:>8} {draft:>8}", fit::pad(name, name_width, theme));
            Line::styled(fit::cut(&row, width, theme), style)
        };
        lines.push(Line::default());
        lines.push(row("dev document", ["change", "tokens", "now", "draft"].map(str::to_owned), theme.dim));
        for loss in &found.losses {
            let change = loss.after - loss.before;
            let figures = [
                format!("{change:+.4}"),
                loss.tokens.to_string(),
                format!("{:.4}", loss.before),
                format!("{:.4}", loss.after),
            ];
            lines.push(row(&name(app, loss.document), figures, if change > 0.0 { theme.warn } else { theme.text }));
        }
    }
    for summary in &found.summaries {
        lines.push(Line::default());
        let [before, after] = summary.rouge_l;
        let head = format!("{}: ROUGE-L {before:.1} {} {after:.1}", name(app, summary.document), theme.glyphs.arrow);
        let mut say = |parts: &[(&str, Style)]| lines.extend(fit::wrap(parts, width));
        say(&[(&head, theme.title())]);
        if let Some(of) = app.started.as_ref().and_then(|started| started.documents.get(summary.document)) {
            say(&[("reference: ", theme.dim), (&of.reference, theme.text)]);
        }
        say(&[("now: ", theme.dim), (&summary.before, theme.text)]);
        let pieces = with_draft(summary, theme);
        let parts: Vec<(&str, Style)> = [("draft: ", theme.dim)]
            .into_iter()
            .chain(pieces.iter().map(|(text, style)| (text.as_str(), *style)))
            .collect();
        say(&parts);
    }
    if !found.state.is_over() && found.asked[1] > 0 {
        lines.push(Line::default());
        lines.push(Line::styled(fit::cut("the summaries are being written ...", width, theme), theme.dim));
    }
    lines
}

/// Sparsity, importance and masks in a line.
fn figures(found: &WhatIf) -> String {
    let percent = |[before, after]: [f64; 2]| format!("{:.1} % → {:.1} %", 100.0 * before, 100.0 * after);
    let cached = if found.cached { ", known from before" } else { "" };
    format!(
        "step {}: sparsity {}, importance retained {}; {} matrices have another mask{cached}",
        found.step,
        percent(found.sparsity),
        percent(found.retained),
        found.changed
    )
}

/// What importance means here: in the estimate what was pruned counts as it is now, near zero.
fn as_they_were(found: &WhatIf) -> String {
    let back = match found.restored {
        0 => String::new(),
        1 => "; one comes back so".to_owned(),
        n => format!("; {n} come back so"),
    };
    format!("importance counts pruned entries as they were{back}")
}

/// The document's id where the run told it, or its number.
fn name(app: &App, document: usize) -> String {
    let told = app.started.as_ref().and_then(|started| started.documents.get(document)).map(|of| of.id.clone());
    told.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("document {}", document + 1))
}

/// The summary under the draft, with what differs from the present one marked.
pub(super) fn with_draft(summary: &Summary, theme: &Theme) -> Vec<(String, Style)> {
    if summary.before == summary.after {
        return vec![("the same".to_owned(), theme.dim)];
    }
    let Some(pieces) = marks::changes(&summary.before, &summary.after, theme) else {
        return vec![(summary.after.clone(), theme.text)];
    };
    let text = |piece: Piece| match piece {
        Piece::Kept(range, style) => (summary.after.get(range).unwrap_or_default().to_owned(), style),
        Piece::Beside(text, style) => (text, style),
    };
    pieces.into_iter().map(text).collect()
}
