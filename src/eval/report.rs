//! The report as text, Markdown, CSV and JSON.

use super::markup;
use super::rouge::parts::{HEADS, NAMES};
use crate::run::event::{Report, ReportRow};
use crate::{Error, Result};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

const HEADER: [&str; 8] = ["method", "docs", "loss", "R-1", "R-2", "R-L", "sparsity", "train"];

/// The heads, with that of `BERTScore` behind ROUGE where an encoder was given.
fn heads(report: &Report) -> Vec<String> {
    let mut heads = HEADER.map(str::to_owned).to_vec();
    if report.encoder.is_some() {
        heads.insert(BERT, "BERT".to_owned());
    }
    heads
}

/// The column of `BERTScore`.
const BERT: usize = 6;

fn cells(report: &Report, row: &ReportRow) -> Vec<String> {
    let mut cells = vec![
        crate::text::printable(&row.method).into_owned(),
        row.documents.to_string(),
        format!("{:.3}", row.loss),
        format!("{:.2}", row.rouge.rouge1),
        format!("{:.2}", row.rouge.rouge2),
        format!("{:.2}", row.rouge.rouge_l),
        format!("{:.1}%", row.sparsity * 100.0),
        if row.seconds > 0.0 { format!("{:.1}s", row.seconds) } else { "-".into() },
    ];
    if report.encoder.is_some() {
        cells.insert(BERT, row.bert.map_or("-".into(), |bert| format!("{:.2}", bert.f)));
    }
    cells
}

/// The report as aligned text for a terminal.
pub fn table(report: &Report) -> String {
    let mut rows = vec![heads(report)];
    rows.extend(report.rows.iter().map(|row| cells(report, row)));
    let count = rows[0].len();
    let widths: Vec<usize> = (0..count).map(|c| rows.iter().map(|r| r[c].width()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        for (c, cell) in row.iter().enumerate() {
            let gap = " ".repeat(widths[c].saturating_sub(cell.width()));
            // Names to the left, numbers to the right.
            let (before, after) = if c == 0 { ("", gap.as_str()) } else { (gap.as_str(), "") };
            let separator = if c == 0 { "" } else { "  " };
            let _ = write!(out, "{separator}{before}{cell}{after}");
        }
        out.push('\n');
        if i == 0 {
            let total = widths.iter().sum::<usize>() + 2 * (count - 1);
            let _ = writeln!(out, "{}", "-".repeat(total));
        }
    }
    if !report.tokens.is_empty() {
        let _ = writeln!(out, "R: ROUGE F over {}", crate::text::printable(&report.tokens));
    }
    if let Some(encoder) = &report.encoder {
        let _ = writeln!(out, "BERT: BERTScore F by {}, not rescaled", crate::text::printable(encoder));
    }
    out
}

/// The report as a Markdown table.
pub fn markdown(report: &Report) -> String {
    let rows = report.rows.iter().map(|row| cells(report, row));
    markdown_table(&heads(report), rows)
}

fn markdown_table(heads: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut out = format!("| {} |\n|---|{}\n", heads.join(" | "), "---:|".repeat(heads.len() - 1));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| markup::markdown(cell)).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

/// What the table has no room for, as a Markdown table: perplexity, and ROUGE's precision and recall where they are known.
pub fn more(report: &Report) -> String {
    let heads: Vec<String> = ["method", "perplexity"].iter().chain(&HEADS).map(|head| (*head).to_owned()).collect();
    let row = |row: &ReportRow| -> Vec<String> {
        let start = [crate::text::printable(&row.method).into_owned(), format!("{:.2}", perplexity(row.loss))];
        start.into_iter().chain(parts(row).map(|part| part.map_or("-".into(), |part| format!("{part:.2}")))).collect()
    };
    markdown_table(&heads, report.rows.iter().map(row))
}

/// The highest perplexity that is told: means and spreads of such are still numbers, and JSON has no others.
const MOST: f64 = 1e150;

/// What a loss in nats per token is as perplexity, up to 1e150; NaN of a loss that is none.
pub fn perplexity(loss: f64) -> f64 {
    let value = loss.exp();
    // `min` would take NaN for the limit.
    if value > MOST { MOST } else { value }
}

/// Precision and recall of ROUGE-1, ROUGE-2 and ROUGE-L.
fn parts(row: &ReportRow) -> [Option<f64>; 6] {
    row.rouge.parts.map_or([None; 6], |parts| parts.all().map(Some))
}

/// The report as CSV with a header, full precision.
pub fn csv(report: &Report) -> String {
    let bert = report.encoder.is_some();
    let more = if bert { ",bert_precision,bert_recall,bert_f" } else { "" };
    // The same in each line, as a table is read.
    let quoted = |text: &str| format!("\"{}\"", crate::text::printable(text).replace('"', "\"\""));
    let (head, tokens) = if report.tokens.is_empty() {
        ("", String::new())
    } else {
        (",rouge_tokens", format!(",{}", quoted(&report.tokens)))
    };
    let [p1, r1, p2, r2, pl, rl] = NAMES;
    let mut out = format!(
        "method,documents,loss,perplexity,rouge1,{p1},{r1},rouge2,{p2},{r2},rougeL,{pl},{rl},sparsity,\
         train_seconds{more}{head}\n"
    );
    let text = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for row in &report.rows {
        let method = quoted(&row.method);
        let r = row.rouge;
        let [p1, r1, p2, r2, pl, rl] = parts(row).map(text);
        let _ = write!(
            out,
            "{method},{},{},{},{},{p1},{r1},{},{p2},{r2},{},{pl},{rl},{},{}",
            row.documents,
            row.loss,
            perplexity(row.loss),
            r.rouge1,
            r.rouge2,
            r.rouge_l,
            row.sparsity,
            row.seconds
        );
        let _ = match row.bert {
            Some(b) if bert => writeln!(out, ",{},{},{}{tokens}", b.precision, b.recall, b.f),
            _ => writeln!(out, "{}{tokens}", if bert { ",,," } else { "" }),
        };
    }
    out
}

/// The report as JSON, with each row's perplexity.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn json(report: &Report) -> Result<String> {
    let fault = |e: serde_json::Error| Error::fault(e.to_string());
    let mut value = serde_json::to_value(report).map_err(fault)?;
    let rows = value.get_mut("rows").and_then(serde_json::Value::as_array_mut).into_iter().flatten();
    for (row, of) in rows.zip(&report.rows) {
        row["perplexity"] = perplexity(of.loss).into();
    }
    serde_json::to_string_pretty(&value).map_err(fault)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::event::{BertScore, Parts, Rouge};

    #[test]
    fn the_three_forms_hold_the_same_rows() {
        let row = |method: &str, rouge_l| ReportRow {
            method: method.into(),
            documents: 48,
            loss: 2.5,
            rouge: Rouge { rouge1: 30.0, rouge2: 9.5, rouge_l, parts: None },
            sparsity: 0.5,
            seconds: 12.25,
            bert: None,
        };
        let report = Report {
            split: "test".into(),
            rows: vec![row("zero-shot", 21.0), row("a|b \"c\"", 101.25)],
            ..Report::default()
        };
        let text = table(&report);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|l| l.len() == lines[0].len()), "{text}");
        assert!(
            markdown(&report).contains("| a\\|b \"c\" | 48 | 2.500 | 30.00 | 9.50 | 101.25 | 50.0% | 12.2s |"),
            "{}",
            markdown(&report)
        );
        let (csv_text, perplexity) = (csv(&report), 2.5f64.exp());
        let last = format!("\"a|b \"\"c\"\"\",48,2.5,{perplexity},30,,,9.5,,,101.25,,,0.5,12.25\n");
        assert!(csv_text.ends_with(&last), "{csv_text}");
        // With an encoder there is a column more, and a line that names it.
        let mut scored = Report { encoder: Some("bert-base-uncased, layer 9".into()), ..report };
        scored.rows[1].bert = Some(BertScore { precision: 60.0, recall: 70.0, f: 64.6154 });
        assert!(table(&scored).ends_with("BERT: BERTScore F by bert-base-uncased, layer 9, not rescaled\n"));
        assert!(markdown(&scored).contains("| 101.25 | 64.62 | 50.0% |"), "{}", markdown(&scored));
        assert!(csv(&scored).ends_with(",12.25,60,70,64.6154\n") && csv(&scored).contains(",12.25,,,\n"));
        // How ROUGE cuts texts is told once below the table, and in the files.
        let told = Report { tokens: "words,\u{1b} stemmed".into(), ..scored };
        let below = "R: ROUGE F over words,\\u{1b} stemmed\nBERT: ";
        assert!(table(&told).contains(below) && table(&told).matches("stemmed").count() == 1, "{}", table(&told));
        assert!(
            csv(&told).contains(",bert_f,rouge_tokens\n")
                && csv(&told).contains(",12.25,,,,\"words,\\u{1b} stemmed\"\n")
        );
        assert_eq!(serde_json::from_str::<Report>(&json(&told).unwrap()).unwrap(), told);
    }

    #[test]
    fn files_have_perplexity_precision_and_recall_and_the_table_stays_narrow() {
        let parts =
            Parts { rouge1_p: 40.0, rouge1_r: 25.0, rouge2_p: 11.5, rouge2_r: 8.25, rouge_l_p: 28.0, rouge_l_r: 17.0 };
        let row = ReportRow {
            method: "merge".into(),
            documents: 48,
            loss: 2.0,
            rouge: Rouge { rouge1: 30.0, rouge2: 9.5, rouge_l: 21.0, parts: Some(parts) },
            ..ReportRow::default()
        };
        let before = ReportRow { method: "a|b".into(), rouge: Rouge { parts: None, ..row.rouge }, ..row.clone() };
        let report = Report { split: "test".into(), rows: vec![row, before], ..Report::default() };
        let csv = csv(&report);
        let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{csv}");
        let of = |line: usize, head: &str| lines[line][lines[0].iter().position(|h| *h == head).unwrap()];
        assert_eq!((of(1, "rouge1_p"), of(1, "rouge2_r"), of(1, "rougeL_r")), ("40", "8.25", "17"));
        assert!(of(1, "perplexity").starts_with("7.389") && of(2, "rougeL_p").is_empty(), "{csv}");
        let text = json(&report).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&value["rows"][0]["rouge"]["rouge_l_p"], value["rows"].as_array().unwrap().len()),
            (&28.0.into(), 2)
        );
        assert!((value["rows"][1]["perplexity"].as_f64().unwrap() - 2f64.exp()).abs() < 1e-12, "{text}");
        // What reads a report takes it as it is.
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        let more = more(&report);
        assert!(more.contains("| merge | 7.39 | 40.00 | 25.00 | 11.50 | 8.25 | 28.00 | 17.00 |"), "{more}");
        assert!(more.contains("| a\\|b | 7.39 | - | - |") && !table(&report).contains("perplexity"), "{more}");
    }

    #[test]
    fn a_huge_loss_has_a_perplexity_and_one_that_is_no_number_has_none() {
        assert_eq!((perplexity(0.0), perplexity(1e9), perplexity(f64::INFINITY)), (1.0, 1e150, 1e150));
        assert!(perplexity(f64::NAN).is_nan());
        let row = ReportRow { method: "a\u{1b}\"b".into(), loss: f64::NAN, ..ReportRow::default() };
        let report = Report { split: "test".into(), rows: vec![row], ..Report::default() };
        let value: serde_json::Value = serde_json::from_str(&json(&report).unwrap()).unwrap();
        assert!(value["rows"][0]["perplexity"].is_null() && value["rows"][0]["rouge"]["rouge1"] == 0.0, "{value}");
        assert!(csv(&report).contains("\"a\\u{1b}\"\"b\",0,NaN,NaN,"), "{}", csv(&report));
        // What reads a report takes it as it is.
        let read: Report = serde_json::from_str(&json(&report).unwrap()).unwrap();
        assert!(read.rows[0].loss.is_nan() && read.rows[0].method == report.rows[0].method, "{read:?}");
    }
}
