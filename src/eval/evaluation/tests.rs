//! Methods that wrote little, nothing, or could not be done.

use super::*;
use crate::eval::significance::{self, Resampling};

fn outcome(method: &str, seed: u64, summaries: &[&str]) -> Outcome {
    let written = summaries.iter().enumerate().map(|(i, summary)| Written {
        id: format!("d{i}"),
        document: "a small game engine for the web".into(),
        reference: "small game engine".into(),
        summary: (*summary).into(),
    });
    Outcome { method: method.into(), seed, loss: 1.0 + seed as f64, written: written.collect(), ..Outcome::default() }
}

fn asked(reference: &str) -> Asked<'_> {
    Asked { name: "games", split: "test", reference, methods: &[] }
}

fn undone(method: &str, seed: Option<u64>) -> Undone {
    Undone { method: method.into(), seed, why: format!("{method} is hard"), run: seed.map(|s| format!("run-{s}")) }
}

#[test]
fn methods_are_compared_document_by_document_over_seeds() {
    let good = ["small game engine"; 8];
    let bad = ["a web page"; 8];
    let all = [outcome("good", 1, &good), outcome("bad", 1, &bad), outcome("good", 2, &good), outcome("bad", 2, &bad)];
    let found = evaluate(&asked("good"), &all, &[]).unwrap();
    assert_eq!((found.documents, found.rows.len()), (8, 2));
    let [good, bad] = &found.rows[..] else { panic!("{found:?}") };
    assert_eq!((&good.seeds[..], good.against), (&[1, 2][..], None));
    let against = bad.against.unwrap();
    let (good, bad) = (good.figures.as_ref().unwrap(), bad.figures.as_ref().unwrap());
    assert_eq!((good.rouge_l.mean, good.rouge_l.spread), (100.0, Some(0.0)));
    assert!((good.loss.mean - 2.5).abs() < 1e-12, "{good:?}");
    // Of the losses 2 and 3.
    assert!((good.perplexity.mean - f64::midpoint(2f64.exp(), 3f64.exp())).abs() < 1e-9, "{good:?}");
    assert!((good.parts.rouge1_p.mean - 100.0).abs() < 1e-9 && bad.parts.rouge1_r.mean < 1e-9, "{good:?}");
    // Seeds are no documents: 2 / 2^8, not 2 / 2^16.
    assert!((against.p - 2.0 / 256.0).abs() < 1e-9 && against.mark() == "**", "{against:?}");
    assert!((against.difference + 100.0).abs() < 1e-9 && (good.length.mean - 1.0).abs() < 1e-9);
    assert!(good.copied.mean > bad.copied.mean);
}

#[test]
fn empty_summaries_references_without_a_word_and_one_document_have_figures() {
    let mut empty = outcome("empty", 1, &["", " \n", "", ""]);
    let mut marks = outcome("marks", 1, &["...", "small game engine", "囲碁", "small"]);
    for outcome in [&mut empty, &mut marks] {
        outcome.written[1].reference = "...".into();
        outcome.written[2].reference = "囲碁".into();
    }
    let found = evaluate(&asked("marks"), &[empty.clone(), marks.clone()], &[]).unwrap();
    let figures = |row: &Row| {
        let of = row.figures.as_ref().unwrap();
        [of.rouge_l, of.rouge1, of.bleu, of.length, of.copied, of.repeated].map(|f| f.mean)
    };
    assert_eq!(figures(&found.rows[0]), [0.0; 6]);
    assert!(figures(&found.rows[1]).iter().all(|f| f.is_finite()) && figures(&found.rows[1])[0] > 0.0);
    assert!(found.notes[0].starts_with("2 of 4 references have no token"), "{:?}", found.notes);
    assert_eq!(found.notes[1], "4 of 4 summaries of empty are empty");
    // Marks alone and another language are not empty, and yet nothing is found in them.
    assert_eq!(found.notes[2..], ["2 of 4 summaries of marks have no token as ROUGE cuts them"]);
    [&mut empty, &mut marks].into_iter().for_each(|outcome| outcome.written.truncate(1));
    let one = evaluate(&asked("marks"), &[empty, marks], &[]).unwrap();
    let against = one.rows[0].against.unwrap();
    assert!(against.bounds.is_none() && against.p == 1.0 && against.p_holm == Some(1.0), "{against:?}");
    assert!(one.rows.iter().all(|row| row.rouge_l_bounds.is_none()), "{one:?}");
    let told = ["1 of 1 summaries of empty is empty", "1 of 1 summaries of marks has no token as ROUGE cuts them"];
    assert_eq!(one.notes, told);
}

#[test]
fn a_hundred_thousand_characters_are_scored_within_seconds() {
    let long = "one two three four five ".repeat(4_167);
    let mut outcome = outcome("long", 1, &["one two three", "four five six"]);
    outcome.written.iter_mut().for_each(|w| (w.document, w.reference) = (long.clone(), long.clone()));
    let clock = std::time::Instant::now();
    let found = evaluate(&asked("long"), &[outcome], &[]).unwrap();
    let rouge1 = found.rows[0].figures.as_ref().unwrap().rouge1.mean;
    assert!(rouge1 > 0.0 && clock.elapsed().as_secs() < 30, "{:?}", clock.elapsed());
}

#[test]
fn other_documents_or_an_unknown_method_are_refused() {
    let all = [outcome("good", 1, &["x"; 3]), outcome("bad", 1, &["x"; 2])];
    let refused = |all: &[Outcome], reference: &str| evaluate(&asked(reference), all, &[]).unwrap_err().to_string();
    assert!(refused(&all, "good").contains("bad (seed 1) was scored on other documents"));
    let mut mended = [outcome("good", 1, &["x"; 3]), outcome("bad", 2, &["x"; 3])];
    mended[1].written[2].reference = "large game engine".into();
    assert!(refused(&mended, "good").contains("bad (seed 2) was scored on other documents"));
    assert!(refused(&all[..1], "best").contains("\"best\" is none of the methods that were scored: good"));
    assert!(refused(&[], "best").contains("no method"));
}

#[test]
fn what_could_not_be_done_keeps_its_row_and_costs_no_other() {
    let all = [outcome("good", 1, &["small game engine"; 8]), outcome("bad", 1, &["a web page"; 8])];
    let more = [outcome("good", 2, &["small game engine"; 8])];
    let methods = ["never", "bad", "good", "own"].map(str::to_owned);
    let asked = Asked { methods: &methods, ..asked("good") };
    let failed = [undone("own", Some(1)), undone("own", Some(2)), undone("bad", Some(2)), undone("never", None)];
    let found = evaluate(&asked, &[&all[..], &more].concat(), &failed).unwrap();
    let rows: Vec<_> = found.rows.iter().map(|row| (row.method.as_str(), row.figures.is_some())).collect();
    assert_eq!(rows, [("never", false), ("bad", true), ("good", true), ("own", false)]);
    assert_eq!(found.rows[0].failed.as_deref(), Some("never is hard"));
    assert!(found.rows[0].seeds.is_empty() && found.rows[1].failed.is_none());
    // Over the one seed that both have.
    let against = found.rows[1].against.unwrap();
    assert!((against.difference + 100.0).abs() < 1e-9, "{against:?}");
    let told = found.undone_sentence().unwrap();
    assert_eq!(told, "2 of 4 methods could not be done: never, own; and 1 not for every seed: bad");
    // As JSON and back: no figure of a row without.
    let text = serde_json::to_string(&found).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(value["rows"][0]["loss"].is_null() && value["rows"][1]["loss"]["mean"].is_number(), "{text}");
    assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), found);
    // Without the method that the others are compared with there is nothing to compare them with.
    let own = evaluate(&Asked { reference: "own", ..asked }, &all, &failed).unwrap();
    assert!(own.rows.iter().all(|row| row.against.is_none()), "{own:?}");
    assert!(evaluate(&asked, &all, &[]).unwrap().undone_sentence().is_none());
    assert!(evaluate(&asked, &[], &failed).is_err());
}

#[test]
fn a_loss_that_is_no_number_costs_a_row_no_other_figure() {
    let of = |method: &str, seed, loss| Outcome { loss, ..outcome(method, seed, &["small game engine"; 8]) };
    let all = [
        of("none", 1, f64::NAN),
        of("none", 2, 1.0),
        of("huge", 1, 1e9),
        of("huge", 2, 1e9),
        of("mixed", 1, 1e9),
        of("mixed", 2, 1.0),
        of("endless", 1, f64::INFINITY),
        of("endless", 2, f64::INFINITY),
    ];
    let found = evaluate(&asked("huge"), &all, &[]).unwrap();
    let text = serde_json::to_string(&found).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(value["rows"][0]["loss"]["mean"].is_null() && value["rows"][0]["perplexity"]["mean"].is_null());
    let read: Evaluation = serde_json::from_str(&text).unwrap();
    let figures: Vec<&Figures> = read.rows.iter().map(|row| row.figures.as_ref().unwrap()).collect();
    assert!(figures.iter().all(|of| of.rouge_l.mean == 100.0 && of.rouge_l.spread == Some(0.0)), "{text}");
    let [none, huge, mixed, endless] = figures[..] else { panic!("{text}") };
    assert!(none.loss.mean.is_nan() && none.perplexity.mean.is_nan() && none.loss.spread.is_none(), "{none:?}");
    assert_eq!((huge.loss.mean, huge.perplexity), (1e9, Figure { mean: 1e150, spread: Some(0.0) }));
    assert!(mixed.perplexity.mean == 5e149 && mixed.perplexity.spread.is_some_and(f64::is_finite), "{mixed:?}");
    // JSON has no infinity either.
    assert!(endless.loss.mean.is_nan() && endless.perplexity.mean == 1e150, "{endless:?}");
    assert_eq!(read.rows[1], found.rows[1]);
    assert!(tables::csv(&read).contains("\"none\",2,8,NaN,,NaN,,"), "{}", tables::csv(&read));
}

#[test]
fn a_table_of_an_earlier_lopper_is_read() {
    let figure = r#"{"mean": 1.5, "spread": null}"#;
    let keys = "loss rouge1 rouge2 rouge_l rouge_l_sum bleu length copied repeated sparsity seconds";
    let figures: Vec<String> = keys.split(' ').map(|key| format!("\"{key}\": {figure}")).collect();
    let row = format!("{{\"method\": \"m\", \"seeds\": [1], {}, \"against\": null}}", figures.join(", "));
    let row: Row = serde_json::from_str(&row).unwrap();
    let figures = row.figures.unwrap();
    assert_eq!((figures.loss.mean, figures.perplexity, row.failed), (1.5, Figure::default(), None));
    assert_eq!(figures.parts.all(), [Figure::default(); 6]);
}

#[test]
fn references_without_any_token_have_no_length() {
    let mut marks = outcome("marks", 1, &["...", "small"]);
    marks.written.iter_mut().for_each(|w| w.reference = "...".into());
    let found = evaluate(&asked("marks"), &[marks], &[]).unwrap();
    let text = serde_json::to_string(&found).unwrap();
    let read: Evaluation = serde_json::from_str(&text).unwrap();
    assert!(read.rows[0].figures.as_ref().unwrap().length.known().is_none(), "{text}");
    assert!(!tables::text(&read).contains("NaN") && !tables::csv(&read).contains("NaN"), "{}", tables::text(&read));
}

#[test]
fn a_mean_has_an_interval_over_documents_each_with_its_mean_over_the_seeds() {
    let half = ["small game engine", "a web page", "small game engine", "a web page"];
    let other = ["a web page", "small game engine", "a web page", "small game engine"];
    let one = evaluate(&asked("half"), &[outcome("half", 1, &half)], &[]).unwrap();
    let bounds = significance::interval(&[100.0, 0.0, 100.0, 0.0], &Resampling::default()).unwrap().bounds;
    assert_eq!(one.rows[0].rouge_l_bounds, bounds);
    assert!(bounds.is_some_and(|(low, high)| low < 50.0 && high > 50.0) && one.verdict.is_none());
    // Over both seeds each document has 50.
    let both = evaluate(&asked("half"), &[outcome("half", 1, &half), outcome("half", 2, &other)], &[]).unwrap();
    assert_eq!(both.rows[0].rouge_l_bounds, Some((50.0, 50.0)));
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), one);
}

#[test]
fn several_comparisons_are_adjusted_and_the_best_method_is_told_in_words() {
    let good = ["small game engine"; 8];
    let bad = ["a web page"; 8];
    let once = [&bad[..7], &good[..1]].concat();
    let all = [outcome("bad", 1, &bad), outcome("good", 1, &good), outcome("once", 1, &once)];
    let found = evaluate(&asked("bad"), &all, &[]).unwrap();
    let of = |at: usize| found.rows[at].against.unwrap();
    // All eight differ; one does.
    assert!((of(1).p - 2.0 / 256.0).abs() < 1e-9 && (of(1).p_holm.unwrap() - 4.0 / 256.0).abs() < 1e-9, "{found:?}");
    assert_eq!((of(1).mark(), of(2).p, of(2).p_holm, of(2).mark()), ("*", 1.0, Some(1.0), ""));
    let told = found.verdict.unwrap();
    assert!(told.starts_with("R-L: good is better than bad by 100.00 (95 % interval 100.00 to 100.00, p = 0.02, "));
    assert!(told.ends_with("8 documents); Holm's p for 2 comparisons"), "{told}");
    // Where the reference is the best it is told beside the next one.
    let told = evaluate(&asked("good"), &all, &[]).unwrap().verdict.unwrap();
    assert!(
        told.starts_with("R-L: good is better than once by 87.50 (95 % interval ") && told.contains("p = 0.02,"),
        "{told}"
    );
    let same = [outcome("good", 1, &good), outcome("other", 1, &good)];
    let told = evaluate(&asked("good"), &same, &[]).unwrap().verdict.unwrap();
    assert_eq!(told, "R-L: good and other have the same scores (8 documents)");
}

#[test]
fn rows_name_their_runs_and_the_loss_on_dev_that_all_their_runs_tell() {
    let of = |method: &str, seed: u64, dev_loss| Outcome {
        run: format!("run-{seed}"),
        dev_loss,
        ..outcome(method, seed, &["small game engine"; 3])
    };
    let all = [of("both", 2, Some(2.0)), of("both", 1, Some(3.0)), of("one", 2, Some(2.0)), of("one", 1, None)];
    let found = evaluate(&asked("one"), &all, &[]).unwrap();
    assert_eq!(
        (&found.rows[0].seeds[..], &found.rows[0].runs[..]),
        (&[2, 1][..], &["run-2", "run-1"].map(str::to_owned)[..])
    );
    let dev: Vec<Option<f64>> =
        found.rows.iter().map(|row| row.figures.as_ref().unwrap().dev_loss.map(|of| of.mean)).collect();
    assert_eq!(dev, [Some(2.5), None]);
    let value = serde_json::to_value(&found).unwrap();
    assert_eq!((&value["rows"][0]["dev_loss"]["mean"], &value["rows"][1]["runs"][1]), (&2.5.into(), &"run-1".into()));
}
