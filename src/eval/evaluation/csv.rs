//! An evaluation as CSV.

use super::{Evaluation, Figure, Figures};
use crate::eval::rouge::parts::NAMES;
use crate::text::printable;
use std::fmt::Write;

/// A method's figures, each with its name in files.
fn named(of: &Evaluation, figures: &Figures) -> Vec<(&'static str, Option<Figure>)> {
    let f = figures;
    let measures = [("rouge1", f.rouge1), ("rouge2", f.rouge2), ("rougeL", f.rouge_l)];
    let parts: Vec<_> = NAMES.into_iter().zip(f.parts.all().map(Some)).collect();
    let mut all = vec![("loss", Some(f.loss)), ("perplexity", Some(f.perplexity))];
    for ((name, figure), of_it) in measures.into_iter().zip(parts.chunks(2)) {
        all.push((name, Some(figure)));
        all.extend_from_slice(of_it);
    }
    all.extend([
        ("rougeLsum", Some(f.rouge_l_sum)),
        ("bleu", Some(f.bleu)),
        ("length_ratio", f.length.known()),
        ("copied", Some(f.copied)),
        ("repeated", Some(f.repeated)),
        ("sparsity", Some(f.sparsity)),
        ("train_seconds", Some(f.seconds)),
    ]);
    if of.encoder.is_some() {
        let bert = |at: usize| f.bert.map(|bert| bert[at]);
        all.extend([("bert_precision", bert(0)), ("bert_recall", bert(1)), ("bert_f", bert(2))]);
    }
    if of.rows.iter().filter_map(|row| row.figures.as_ref()).any(|of| of.dev_loss.is_some()) {
        all.push(("dev_loss", f.dev_loss));
    }
    all
}

/// All figures in full precision, one method a line.
pub fn csv(of: &Evaluation) -> String {
    let quoted = |text: &str| format!("\"{}\"", printable(text).replace('"', "\"\""));
    let text = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
    let mut out = String::from("method,seeds,documents");
    for (head, _) in named(of, &Figures::default()) {
        write!(out, ",{head},{head}_sd").ok();
    }
    // `rougeL_p` is a precision.
    out.push_str(
        ",rougeL_low,rougeL_high,rougeL_difference,rougeL_difference_low,rougeL_difference_high,rougeL_difference_p,\
         rougeL_difference_p_holm,runs,failed\n",
    );
    for row in &of.rows {
        write!(out, "{},{},{}", quoted(&row.method), row.seeds.len(), of.documents).ok();
        // A row without figures has the cells all the same.
        let known = row.figures.is_some();
        for (_, figure) in named(of, row.figures.as_ref().unwrap_or(&Figures::default())) {
            let figure = figure.filter(|_| known);
            write!(out, ",{},{}", text(figure.map(|f| f.mean)), text(figure.and_then(|f| f.spread))).ok();
        }
        let bounds = |of: Option<(f64, f64)>| [of.map(|of| of.0), of.map(|of| of.1)];
        let [low, high] = bounds(row.rouge_l_bounds);
        let [least, most] = bounds(row.against.and_then(|a| a.bounds));
        let (p, holm) = (row.against.map(|a| a.p), row.against.and_then(|a| a.p_holm));
        let more = [low, high, row.against.map(|a| a.difference), least, most, p, holm].map(text).join(",");
        let runs = if row.runs.is_empty() { String::new() } else { quoted(&row.runs.join(";")) };
        let failed = row.failed.as_deref().map_or(String::new(), quoted);
        writeln!(out, ",{more},{runs},{failed}").ok();
    }
    out
}
