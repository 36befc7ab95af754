//! Head and foot: state, stage, progress, figures, keys.

use crate::app::{App, action};
use crate::run::RunState;
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Silence after which it is said, seconds.
const SILENT: f64 = 15.0;

fn state(app: &App, theme: &Theme) -> (char, Style) {
    match (app.state, theme.ascii) {
        (RunState::Running, false) => ('▶', theme.good),
        (RunState::Running, true) => ('>', theme.good),
        (RunState::Paused, _) => ('=', theme.warn),
        (RunState::Finished, false) => ('✓', theme.good),
        (RunState::Finished, true) => ('*', theme.good),
        (RunState::Stopped, _) => ('-', theme.warn),
        (RunState::Failed | RunState::Crashed, _) => ('!', theme.bad),
        (RunState::Created, _) => ('.', theme.dim),
    }
}

fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    format!("{}:{:02}", s / 60, s % 60)
}

/// Three lines: what runs, how far it is, figures or the last word.
pub fn head(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let (symbol, style) = state(app, theme);
    let mut first = vec![
        Span::styled("lopper ", theme.accent.add_modifier(Modifier::BOLD)),
        Span::styled(format!("{symbol} {:<8} ", app.state.word()), style),
    ];
    if let Some(started) = &app.started {
        first.push(Span::styled(format!("{}  ", started.name), theme.text));
        let millions = started.base_parameters as f64 / 1e6;
        let adapters = started.adapter_parameters as f64 / 1e6;
        let about = format!(
            "{millions:.0}M base · {} adapters, {adapters:.1}M · {}/{}/{} examples · {}",
            started.adapters.len(),
            started.train_examples,
            started.dev_examples,
            started.test_examples,
            started.device
        );
        first.push(Span::styled(about, theme.dim));
    }
    let mut second = Vec::new();
    if app.stage.of > 0 {
        second.push(Span::styled(
            format!("stage {}/{} {:<26} ", app.stage.index + 1, app.stage.of, app.stage.method),
            theme.text,
        ));
    }
    let progress = match (&app.phase, &app.step) {
        (Some(phase), _) if phase.total > 0 => Some((
            phase.label.clone(),
            phase.done as f64 / phase.total as f64,
            format!("{}/{}", phase.done, phase.total),
        )),
        (_, Some(step)) if app.stage.steps > 0 => Some((
            "step".into(),
            step.step as f64 / app.stage.steps as f64,
            format!("{}/{}", step.step, app.stage.steps),
        )),
        _ => None,
    };
    if let Some((label, share, count)) = progress.filter(|_| !app.state.is_over()) {
        let width = 20usize;
        let full = ((share * width as f64) as usize).min(width);
        let (on, off) = if theme.ascii { ("#", ".") } else { ("█", "░") };
        second.push(Span::styled(on.repeat(full), theme.accent));
        second.push(Span::styled(off.repeat(width - full), theme.dim));
        second.push(Span::styled(format!(" {label} {count}"), theme.text));
        if let Some(eta) = app.eta().filter(|_| app.phase.is_none()) {
            second.push(Span::styled(format!("  ETA {}", duration(eta)), theme.text));
        }
    }
    let third = third(app, theme);
    let lines = vec![Line::from(first), Line::from(second), third];
    frame.render_widget(Paragraph::new(lines), area);
}

fn third<'a>(app: &App, theme: &Theme) -> Line<'a> {
    if matches!(app.state, RunState::Failed | RunState::Crashed) || (app.state.is_over() && !app.notice.is_empty()) {
        let text = if app.notice.is_empty() {
            "the worker is gone without a last word; resume it".to_owned()
        } else {
            app.notice.clone()
        };
        let style = if matches!(app.state, RunState::Failed | RunState::Crashed) { theme.bad } else { theme.good };
        return Line::styled(crate::text::printable(&text).into_owned(), style);
    }
    let silence = app.now - app.last_event;
    if app.last_event > 0.0 && silence > SILENT {
        return Line::styled(format!("no news for {silence:.0}s"), theme.warn);
    }
    let Some(step) = &app.step else {
        return Line::styled(crate::text::printable(&app.notice).into_owned(), theme.dim);
    };
    let s = &step.seconds;
    let total = s.total().max(1e-9);
    let part = |x: f64| 100.0 * x / total;
    Line::styled(
        format!(
            "loss {:.3}  epoch {:.2}  lr {:.1e}  grad {:.2}  {:>5.0} tok/s  {:.2} GB  forward {:.0}% backward {:.0}% update {:.0}% prune {:.0}%",
            step.loss,
            step.epoch,
            step.lr,
            step.grad_norm,
            step.tokens_per_second,
            step.memory as f64 / 1e9,
            part(s.forward),
            part(s.backward),
            part(s.optimiser),
            part(s.prune)
        ),
        theme.text,
    )
}

/// One line: the toast, or the keys.
pub fn foot(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    if let Some((text, _)) = &app.toast {
        frame.render_widget(Line::styled(crate::text::printable(text).into_owned(), theme.warn), area);
        return;
    }
    let mut spans = Vec::new();
    for entry in action::TABLE.iter().filter(|e| !e.short.is_empty()) {
        let usable = !(entry.changes && (app.read_only || app.state.is_over()));
        let key = if entry.short.starts_with('+') { String::new() } else { format!("{} ", entry.keys[0]) };
        spans.push(Span::styled(key, if usable { theme.accent } else { theme.dim }));
        spans.push(Span::styled(format!("{}  ", entry.short), if usable { theme.text } else { theme.dim }));
    }
    frame.render_widget(Line::from(spans), area);
}
