//! A run as one HTML file that needs nothing else: settings, heatmaps, curves, samples, scores.

use super::export::{self, escape};
use super::heatmap::Map;
use super::{chart, heatmap, picture};
use crate::app::{App, Measure, Pane};
use crate::run::RunDir;
use crate::run::event::ReportRow;
use crate::text::printable_lines;
use crate::theme::Theme;
use crate::{Error, Result};
use ratatui::layout::Rect;

/// Columns and rows in which a heatmap and the curves are drawn.
const MAP: (u16, u16) = (120, 40);
const CURVES: (u16, u16) = (120, 26);

/// No script, nothing from elsewhere, whatever a text may have smuggled in.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:68rem;margin:2rem auto;padding:0 1rem;color:#22272e;background:#fbfbf8}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #c8ccd2}h3{font-size:1rem;margin-bottom:.3rem}\
svg{max-width:100%;height:auto;display:block}table{border-collapse:collapse}td,th{padding:.25rem .8rem;text-align:right;font-variant-numeric:tabular-nums}\
td:first-child,th:first-child{text-align:left}tr+tr td{border-top:1px solid #e2e4e8}pre{background:#f0f1ee;padding:.8rem;overflow-x:auto}\
dt{float:left;clear:left;width:10rem;color:#667080}dd{margin-left:10.5rem}blockquote{margin:.3rem 0;padding-left:.8rem;border-left:3px solid #c8ccd2;white-space:pre-wrap}\
.note{color:#667080}";

/// The page of a run; pictures in the colours of `theme`.
///
/// # Errors
/// When the run cannot be read.
pub fn of_run(run: &RunDir, theme: &Theme) -> Result<String> {
    let mut app = picture::now(run)?;
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{name}</title><style>{STYLE}</style></head><body>\n<h1>{name}</h1>\n",
        name = escape(&app.run)
    );
    facts(&app, &mut out);
    scores(&app, &mut out);
    maps(&mut app, theme, &mut out)?;
    curves(&mut app, theme, &mut out)?;
    samples(&app, &mut out);
    section(&mut out, "Settings");
    let recipe = run.recipe_file();
    let settings = std::fs::read_to_string(&recipe).map_err(|e| Error::io("read", &recipe, &e))?;
    out.push_str(&format!("<pre>{}</pre>\n</body></html>\n", escape(&printable_lines(&settings))));
    Ok(out)
}

fn section(out: &mut String, title: &str) {
    out.push_str(&format!("<h2>{title}</h2>\n"));
}

fn note(out: &mut String, text: &str) {
    out.push_str(&format!("<p class=\"note\">{}</p>\n", escape(text)));
}

/// What it was about and how it ended.
fn facts(app: &App, out: &mut String) {
    let mut all = vec![("state", app.state.word().to_owned())];
    if let Some(started) = &app.started {
        let adapters: Vec<String> =
            started.adapters.iter().map(|a| format!("{} ({}, rank {})", a.name, a.role, a.rank)).collect();
        all.push(("base", format!("{}, {} parameters", started.base, started.base_parameters)));
        all.push(("adapters", adapters.join(", ")));
        all.push((
            "examples",
            format!("{} train, {} dev, {} test", started.train_examples, started.dev_examples, started.test_examples),
        ));
        all.push(("device", started.device.clone()));
        all.push(("lopper", started.lopper.clone()));
    }
    if let Some(notice) = &app.notice {
        all.push(("last word", notice.text.clone()));
    }
    out.push_str("<dl>\n");
    for (name, text) in all {
        out.push_str(&format!("<dt>{name}</dt><dd>{}</dd>\n", escape(&text)));
    }
    out.push_str("</dl>\n");
}

fn scores(app: &App, out: &mut String) {
    section(out, "Scores");
    let Some(report) = app.report.as_ref().filter(|r| !r.rows.is_empty()) else {
        return note(out, "No method was scored.");
    };
    out.push_str(
        "<table><tr><th>method</th><th>ROUGE-1</th><th>ROUGE-2</th><th>ROUGE-L</th><th>loss</th><th>sparsity</th><th>training</th></tr>\n",
    );
    let row = |r: &ReportRow| {
        format!(
            "<tr><td>{}</td><td>{:.2}</td><td>{:.2}</td><td>{:.2}</td><td>{:.3}</td><td>{:.1} %</td><td>{:.0} s</td></tr>\n",
            escape(&r.method),
            r.rouge.rouge1,
            r.rouge.rouge2,
            r.rouge.rouge_l,
            r.loss,
            r.sparsity * 100.0,
            r.seconds
        )
    };
    report.rows.iter().for_each(|r| out.push_str(&row(r)));
    out.push_str("</table>\n");
    let documents = report.rows.iter().map(|r| r.documents).max().unwrap_or(0);
    note(
        out,
        &format!(
            "{documents} {} documents; ROUGE F-measures in percent; loss in nats per summary token.",
            report.split
        ),
    );
}

fn maps(app: &mut App, theme: &Theme, out: &mut String) -> Result<()> {
    section(out, "Heatmaps");
    if app.shown().is_none() {
        note(out, "This run has made no step.");
        return Ok(());
    }
    let stage = app.past().and_then(|past| app.watch.history.stage(past.place.stage)).unwrap_or(&app.stage);
    note(out, &format!("{}, all adapters, A and B; {}.", stage.method, app.step_label()));
    // No cell is under a cursor.
    app.cursor = (app.layers(), usize::MAX);
    let measured = !app.sensitivity.all().is_empty();
    for measure in Measure::ALL.into_iter().chain(measured.then_some(Measure::Sensitivity)) {
        out.push_str(&format!("<h3>{}</h3>\n{}", escape(measure.label()), map(app, theme, measure)?));
    }
    Ok(())
}

/// One heatmap as SVG.
fn map(app: &mut App, theme: &Theme, measure: Measure) -> Result<String> {
    let area = Rect::new(0, 0, MAP.0, MAP.1);
    app.measure = measure;
    let rows = Map::new(app, area).map_or(MAP.1, |map| (map.legend + 1).min(MAP.1));
    let cells = picture::drawn(MAP, |frame| heatmap::draw(app, theme, frame, area))?;
    let cells = picture::part(&cells, Rect { height: rows, ..area });
    Ok(export::svg(&cells, theme.picture))
}

/// The heatmap of a run as it ended, as SVG: sparsity where something was pruned, importance otherwise. Nothing of its
/// data is in it. `None` for a run that has made no step.
///
/// # Errors
/// When the journal cannot be read.
pub fn heatmap_of_run(run: &RunDir, theme: &Theme) -> Result<Option<String>> {
    let mut app = picture::now(run)?;
    let Some(modules) = app.shown() else { return Ok(None) };
    let measure = if modules.prunes() { Measure::Sparsity } else { Measure::Importance };
    app.cursor = (app.layers(), usize::MAX);
    map(&mut app, theme, measure).map(Some)
}

fn curves(app: &mut App, theme: &Theme, out: &mut String) -> Result<()> {
    section(out, "Loss");
    if app.curves.iter().all(|c| c.train.is_empty() && c.dev.is_empty()) {
        note(out, "No stage has trained.");
        return Ok(());
    }
    note(out, "Nats per summary token by step; earlier stages are dashed.");
    (app.earlier, app.pane) = (true, Pane::Charts);
    let cells = picture::drawn(CURVES, |frame| chart::draw(app, theme, frame, Rect::new(0, 0, CURVES.0, CURVES.1)))?;
    out.push_str(&export::svg(&cells, theme.picture));
    Ok(())
}

fn samples(app: &App, out: &mut String) {
    section(out, "Samples");
    let documents = app.started.as_ref().map_or(&[][..], |s| &s.documents);
    if app.samples.is_empty() || documents.is_empty() {
        return note(out, "No summary was written.");
    }
    for (i, document) in documents.iter().enumerate() {
        out.push_str(&format!("<h3>{}</h3>\n", escape(&document.id)));
        out.push_str(&format!(
            "<details><summary>document</summary><blockquote>{}</blockquote></details>\n",
            escape(&document.document)
        ));
        out.push_str(&format!(
            "<p class=\"note\">reference</p><blockquote>{}</blockquote>\n",
            escape(&document.reference)
        ));
        for written in app.samples.get(&i).into_iter().flatten() {
            let about = format!("{}, step {}, ROUGE-L {:.1}", written.method, written.step, written.rouge_l);
            note(out, &about);
            out.push_str(&format!("<blockquote>{}</blockquote>\n", escape(&written.text)));
        }
    }
}
