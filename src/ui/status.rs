//! Head and foot: state, stage, progress, figures, keys.

use super::fit::{self, Fact, fact, facts, facts_cut};
use super::log;
use crate::app::looks::Frames;
use crate::app::sensitivity::guidance_line;
use crate::app::{App, Tone, action};
use crate::run::RunState;
use crate::text::counted;
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Silence after which it is said, seconds.
pub const SILENT: f64 = 15.0;
/// Lines of the last word.
const NOTICE: usize = 3;
/// Lines of what the sensitivity says, and columns below which there is no room for it.
const GUIDANCE: usize = 2;
const GUIDED: usize = 60;

/// The state's glyph and style.
pub fn state(theme: &Theme, state: RunState) -> (&'static str, Style) {
    let [running, paused, finished, stopped, failed, created] = theme.glyphs.states;
    match state {
        RunState::Running => (running, theme.good),
        RunState::Paused => (paused, theme.warn),
        RunState::Finished => (finished, theme.good),
        RunState::Stopped => (stopped, theme.warn),
        RunState::Failed | RunState::Crashed => (failed, theme.bad),
        RunState::Created => (created, theme.dim),
    }
}

/// Two lines: what runs; how far it is and how fast.
pub fn head(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let width = usize::from(inner.width);
    frame.render_widget(Paragraph::new(vec![what(app, theme, width), progress(app, theme, width)]), inner);
}

fn what(app: &App, theme: &Theme, width: usize) -> Line<'static> {
    let (symbol, style) = state(theme, app.state);
    let word = format!("{symbol} {}", app.state.word());
    let name_room = width.saturating_sub(word.len() + 2).max(4);
    let mut all = vec![
        fact(fit::cut(&app.run, name_room, theme), theme.title(), 8),
        fact(word, style.add_modifier(Modifier::BOLD), 9),
    ];
    if app.stage.of > 0 {
        let stage = format!("stage {}/{}", app.stage.index + 1, app.stage.of);
        all.push(Fact {
            spans: vec![
                Span::styled(format!("{stage} "), theme.dim),
                Span::styled(app.stage.method.clone(), theme.text),
            ],
            weight: 7,
        });
    }
    if let Some(started) = &app.started {
        all.push(fact(format!("{} base", crate::text::short(started.base_parameters)), theme.dim, 3));
        let adapters = format!(
            "{}, {}",
            counted(started.adapters.len(), "adapter"),
            crate::text::short(started.adapter_parameters)
        );
        all.push(fact(adapters, theme.dim, 4));
        let examples = format!(
            "{} train, {} dev, {} test examples",
            started.train_examples, started.dev_examples, started.test_examples
        );
        all.push(fact(examples, theme.dim, 2));
        all.push(fact(started.device.clone(), theme.dim, 5));
    }
    if let Some(speed) = app.looks.replay {
        all.push(fact(format!("replay {speed}x"), theme.warn, 6));
    }
    if app.read_only {
        all.push(fact("read-only", theme.warn, 6));
    }
    facts_cut(all, "  ", width, theme)
}

/// What is being done: its name, the share done and the count.
fn doing(app: &App) -> Option<(String, f64, String)> {
    match (&app.phase, &app.step) {
        (Some(phase), _) if phase.total > 0 => {
            let share = phase.done as f64 / phase.total as f64;
            Some((phase.label.clone(), share, phase.counts()))
        }
        (Some(phase), _) => Some((phase.label.clone(), 0.0, String::new())),
        (_, Some(step)) if app.stage.steps > 0 => {
            let share = step.step as f64 / app.stage.steps as f64;
            Some(("step".into(), share, format!("{}/{}", step.step, app.stage.steps)))
        }
        _ => None,
    }
}

fn progress(app: &App, theme: &Theme, width: usize) -> Line<'static> {
    let mut all = Vec::new();
    let over = app.state.is_over();
    if let Some(share) = app.read {
        all.push(fact(format!("reading the journal {:.0}%", 100.0 * share), theme.warn, 10));
    }
    if let Some((label, share, count)) = doing(app).filter(|_| !over) {
        let bar = (width / 5).clamp(8, 30);
        // Full only when it is done.
        let full = ((share * bar as f64) as usize).min(bar);
        all.push(Fact {
            spans: vec![
                Span::styled(theme.glyphs.full.repeat(full), theme.accent),
                Span::styled(theme.glyphs.open.repeat(bar - full), theme.dim),
            ],
            weight: 5,
        });
        all.push(fact(format!("{label} {count}").trim_end().to_owned(), theme.text, 9));
        if app.state == RunState::Paused {
            all.push(fact("paused: p goes on", theme.warn, 8));
        } else if let Some(left) = app.eta() {
            all.push(fact(format!("ETA {}", fit::duration(left)), theme.accent, 8));
        }
    }
    let silence = app.now - app.last_event;
    if !over && app.caught_up && app.last_event > 0.0 && silence > SILENT {
        all.push(fact(format!("no news for {}", fit::duration(silence)), theme.warn, 10));
    } else if app.started.is_none() && !over {
        all.push(fact("waiting for the worker", theme.dim, 1));
    }
    if let Some(step) = &app.step {
        let part = |x: f64| 100.0 * x / step.seconds.total().max(1e-9);
        let s = &step.seconds;
        all.push(fact(format!("loss {:.3}", step.loss), theme.text, 7));
        all.push(fact(format!("{:.0} tok/s", step.tokens_per_second), theme.text, 6));
        all.push(fact(fit::bytes(step.memory), theme.text, 6));
        all.push(fact(format!("epoch {:.2}", step.epoch), theme.dim, 4));
        all.push(fact(format!("lr {:.1e}", step.lr), theme.dim, 3));
        all.push(fact(format!("grad {:.2}", step.grad_norm), theme.dim, 3));
        let parts = format!(
            "forward {:.0}% backward {:.0}% update {:.0}% prune {:.0}%",
            part(s.forward),
            part(s.backward),
            part(s.optimiser),
            part(s.prune)
        );
        all.push(fact(parts, theme.dim, 1));
    }
    facts_cut(all, "  ", width, theme)
}

/// The last word of a run that is over, in a few lines; below it what its measured sensitivity says.
pub fn notice(app: &App, theme: &Theme, width: u16) -> Vec<Line<'static>> {
    let mut lines = last_word(app, theme, width);
    let width = usize::from(width);
    if let Some(said) = guidance_line(app).filter(|_| width >= GUIDED) {
        let said = super::ratios::spelled(&said, theme);
        lines.extend(fit::limit(fit::wrap(&[(&said, theme.dim)], width), GUIDANCE, width, theme));
    }
    lines
}

fn last_word(app: &App, theme: &Theme, width: u16) -> Vec<Line<'static>> {
    let gone = "the worker is gone without a last word; `lopper resume` goes on from its last checkpoint";
    let (tone, text) = match (&app.notice, app.state) {
        (_, RunState::Crashed) => (Tone::Bad, app.gone.as_deref().unwrap_or(gone)),
        (Some(note), state) if state.is_over() => (note.tone, note.text.as_str()),
        _ => return Vec::new(),
    };
    let width = usize::from(width);
    fit::limit(fit::wrap(&[(text, log::style(theme, tone))], width), NOTICE, width, theme)
}

/// All in one sentence, for windows too small for anything else.
pub fn sentence(app: &App) -> String {
    let mut text = app.state.word().to_owned();
    if let Some((label, _, count)) = doing(app).filter(|_| !app.state.is_over()) {
        text.push_str(&format!(", {label} {count}"));
    }
    if let Some(step) = &app.step {
        text.push_str(&format!(", loss {:.3}", step.loss));
    }
    if let Some(left) = app.eta().filter(|_| app.state == RunState::Running) {
        text.push_str(&format!(", ETA {}", fit::duration(left)));
    }
    text + "; a larger window shows more"
}

/// What frames cost, each figure in columns of its own.
fn debug(app: &App, theme: &Theme) -> Vec<Fact> {
    let Frames { count, last, total, seconds } = app.looks.frames;
    let mean = total / count.max(1);
    vec![
        fact(format!("{count:>6} frames"), theme.text, 6),
        fact(format!("last {last:>6} B"), theme.text, 9),
        fact(format!("mean {mean:>6} B/frame"), theme.text, 8),
        fact(format!("draw {:>6.1} ms", seconds * 1000.0), theme.text, 7),
    ]
}

/// One line: the toast, what frames cost, or the keys.
pub fn foot(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let width = usize::from(inner.width);
    if let Some((text, _)) = &app.toast {
        frame.render_widget(Line::styled(fit::cut(text, width, theme), theme.warn), inner);
        return;
    }
    if app.looks.debug {
        frame.render_widget(facts(debug(app, theme), "  ", width), inner);
        return;
    }
    let mut all = Vec::new();
    // Help and leaving stand at the end, where a user looks for them.
    let last = |e: &&action::Entry| matches!(e.action, action::Action::Help | action::Action::Quit);
    let (ends, own): (Vec<&action::Entry>, Vec<&action::Entry>) = action::offered(app).partition(last);
    for entry in own.into_iter().chain(ends) {
        let word = match entry.action {
            action::Action::Pause if app.state == RunState::Paused => "go on",
            action::Action::Quit if app.from_list => "back",
            _ => entry.short,
        };
        let weight = match entry.action {
            _ if last(&entry) => 9,
            // A draft that nobody knows how to send is none.
            action::Action::Ratio(action::RatioAction::ApplyDraft | action::RatioAction::DropDraft) => 8,
            action::Action::Ratio(
                action::RatioAction::SelectCells | action::RatioAction::ChangeRatio | action::RatioAction::Presets,
            ) => 4,
            _ => 5,
        };
        all.push(Fact {
            spans: vec![Span::styled(format!("{} ", entry.keys[0]), theme.accent), Span::styled(word, theme.dim)],
            weight,
        });
    }
    frame.render_widget(facts(all, "  ", width), inner);
}
