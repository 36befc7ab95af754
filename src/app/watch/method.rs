//! A run that is opened at one of its methods: the end of its stage in the heatmap, and the summaries that it wrote.

use super::{reading, scrub};
use crate::app::update::toast;
use crate::app::{App, Pane, clean};
use crate::run::event::Stage;

/// The run is to be shown at `method`, as soon as it is known what it has done so far.
pub fn want(app: &mut App, method: &str) {
    app.watch.method = Some(clean::line(method));
}

/// Goes to the method that is wanted, once everything that is written so far has been read. What is under way is followed.
pub fn arrive(app: &mut App) {
    let Some(method) = app.watch.method.take_if(|_| app.caught_up) else { return };
    let Some(Stage { index, steps, .. }) = app.watch.history.stage_of(&method).cloned() else {
        // A set that was pruned once is scored in another's stage.
        if app.report.iter().flat_map(|report| &report.rows).any(|row| row.method == method) {
            app.pane = Pane::Report;
        } else {
            toast(app, format!("the run has not come to {method}"));
        }
        return;
    };
    if !app.state.is_over() && index == app.stage.index {
        return;
    }
    reading::follow(app, &method);
    if steps > 0 {
        scrub::show_end(app, index);
    } else {
        let wrote = app.samples.values().flatten().any(|written| written.method == method);
        app.pane = if wrote { Pane::Samples } else { Pane::Report };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::Message;
    use crate::app::update::update;
    use crate::run::RunState;
    use crate::run::event::{Document, Event, EventBody, Modules, Report, ReportRow, Sample, Started};

    fn tell(app: &mut App, bodies: Vec<EventBody>, state: RunState, caught_up: bool) {
        let events = bodies.into_iter().map(|body| Event { v: 1, seq: 0, t: 0.0, body }).collect();
        update(app, Message::Run { events, state, caught_up });
    }

    /// Three methods: one that only writes, one that trains five steps, one that trains nine.
    fn opened(method: &str, state: RunState) -> App {
        let mut app = App::new("x", false);
        want(&mut app, method);
        let document = |id: &str| Document { id: id.into(), ..Document::default() };
        let started = Started { layers: 1, documents: vec![document("a"), document("b")], ..Started::default() };
        let stage = |index, method: &str, steps| {
            EventBody::Stage(Stage { index, of: 3, method: method.into(), steps, ..Stage::default() })
        };
        let sample = |document, step, text: &str| {
            EventBody::Sample(Sample { document, step, text: text.into(), ..Sample::default() })
        };
        let modules = |step| EventBody::Modules(Modules { step, sparsity: vec![Some(0.5)], ..Modules::default() });
        let mut bodies = vec![EventBody::Started(Box::new(started)), stage(0, "zero-shot", 0)];
        bodies.extend([sample(0, 0, "a zero"), sample(1, 0, "b zero"), stage(1, "target", 5)]);
        bodies.extend((1..=5).map(modules));
        bodies.extend([sample(0, 5, "a target"), sample(1, 5, "b target")]);
        let rows = vec![ReportRow { method: "once".into(), ..ReportRow::default() }];
        bodies.push(EventBody::Report(Report { rows, ..Report::default() }));
        tell(&mut app, bodies, state, false);
        assert!(app.is_live() && app.pane == Pane::Heatmap, "not before all is read");
        let mut bodies = vec![stage(2, "own", 9)];
        bodies.extend((1..=9).map(modules));
        bodies.extend([sample(0, 9, "a own"), sample(1, 9, "b own")]);
        tell(&mut app, bodies, state, true);
        app
    }

    fn text(app: &App) -> &str {
        reading::shown(app).map_or("", |at| &reading::versions(app)[at].text)
    }

    fn place(app: &App) -> Option<(usize, usize)> {
        app.watch.scrub.shown.as_ref().map(|shown| (shown.place.stage, shown.place.step))
    }

    #[test]
    fn a_method_that_trains_is_shown_at_the_end_of_its_stage() {
        let mut app = opened("target", RunState::Finished);
        assert_eq!((place(&app), app.pane, text(&app)), (Some((1, 5)), Pane::Heatmap, "a target"));
        app.pane = Pane::Samples;
        update(&mut app, Message::Key("n".into()));
        let other = reading::newest(&app, 0).map(|written| written.text.as_str());
        assert_eq!((text(&app), other), ("b target", Some("a target")));
        // Once: the keys go on from there.
        app.pane = Pane::Heatmap;
        update(&mut app, Message::Key("]".into()));
        tell(&mut app, Vec::new(), RunState::Finished, true);
        assert_eq!(place(&app), Some((2, 1)));
        app.pane = Pane::Samples;
        update(&mut app, Message::Key("T".into()));
        assert_eq!(text(&app), "b own", "the newest");
        update(&mut app, Message::Key("n".into()));
        assert_eq!(text(&app), "a own");
        let last = opened("own", RunState::Finished);
        assert_eq!((place(&last), text(&last), last.pane), (None, "a own", Pane::Heatmap));
    }

    #[test]
    fn a_method_without_steps_shows_its_summaries_and_one_without_a_stage_its_scores() {
        let app = opened("zero-shot", RunState::Finished);
        assert_eq!((app.pane, text(&app), place(&app)), (Pane::Samples, "a zero", None));
        let app = opened("once", RunState::Finished);
        assert_eq!((app.pane, app.toast.is_none(), text(&app)), (Pane::Report, true, "a own"));
        let app = opened("another\u{1b}[2J", RunState::Finished);
        let said = &app.toast.as_ref().unwrap().0;
        assert!(said.starts_with("the run has not come to another") && !said.contains('\u{1b}'), "{said}");
    }

    #[test]
    fn what_is_under_way_is_followed() {
        let app = opened("own", RunState::Running);
        assert!(app.is_live() && app.watch.reading.method.is_none() && app.pane == Pane::Heatmap);
        assert_eq!(place(&opened("target", RunState::Running)), Some((1, 5)));
    }
}
