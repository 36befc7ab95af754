//! An evaluation as CSV.

use super::{Evaluation, Figure, Figures};
use crate::text::printable;
use std::fmt::Write;

/// A figure: its name in files and where it stands.
type Named = (&'static str, fn(&Figures) -> Option<Figure>);

/// All figures in full precision, one method a line.
pub fn csv(of: &Evaluation) -> String {
    let mut figures: Vec<Named> = vec![
        ("loss", |f| Some(f.loss)),
        ("perplexity", |f| Some(f.perplexity)),
        ("rouge1", |f| Some(f.rouge1)),
        ("rouge1_p", |f| Some(f.rouge1_p)),
        ("rouge1_r", |f| Some(f.rouge1_r)),
        ("rouge2", |f| Some(f.rouge2)),
        ("rouge2_p", |f| Some(f.rouge2_p)),
        ("rouge2_r", |f| Some(f.rouge2_r)),
        ("rougeL", |f| Some(f.rouge_l)),
        ("rougeL_p", |f| Some(f.rouge_l_p)),
        ("rougeL_r", |f| Some(f.rouge_l_r)),
        ("rougeLsum", |f| Some(f.rouge_l_sum)),
        ("bleu", |f| Some(f.bleu)),
        ("length_ratio", |f| f.length.known()),
        ("copied", |f| Some(f.copied)),
        ("repeated", |f| Some(f.repeated)),
        ("sparsity", |f| Some(f.sparsity)),
        ("train_seconds", |f| Some(f.seconds)),
    ];
    if of.encoder.is_some() {
        figures.extend([
            ("bert_precision", (|f| f.bert.map(|b| b[0])) as fn(&Figures) -> Option<Figure>),
            ("bert_recall", |f| f.bert.map(|b| b[1])),
            ("bert_f", |f| f.bert.map(|b| b[2])),
        ]);
    }
    if of.rows.iter().filter_map(|row| row.figures.as_ref()).any(|of| of.dev_loss.is_some()) {
        figures.push(("dev_loss", |f| f.dev_loss));
    }
    let quoted = |text: &str| format!("\"{}\"", printable(text).replace('"', "\"\""));
    let text = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
    let mut out = String::from("method,seeds,documents");
    for (head, _) in &figures {
        write!(out, ",{head},{head}_sd").ok();
    }
    // `rougeL_p` is a precision.
    out.push_str(
        ",rougeL_low,rougeL_high,rougeL_difference,rougeL_difference_low,rougeL_difference_high,rougeL_difference_p,\
         rougeL_difference_p_holm,runs,failed\n",
    );
    for row in &of.rows {
        write!(out, "{},{},{}", quoted(&row.method), row.seeds.len(), of.documents).ok();
        for (_, figure) in &figures {
            let figure = row.figures.as_ref().and_then(figure);
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
