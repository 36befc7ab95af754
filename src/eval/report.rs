//! The report as text, Markdown, CSV and JSON.

use crate::run::event::{Report, ReportRow};
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
    if let Some(encoder) = &report.encoder {
        let _ = writeln!(out, "BERT: BERTScore F by {}, not rescaled", crate::text::printable(encoder));
    }
    out
}

/// The report as a Markdown table.
pub fn markdown(report: &Report) -> String {
    let heads = heads(report);
    let mut out = format!("| {} |\n|---|{}\n", heads.join(" | "), "---:|".repeat(heads.len() - 1));
    for row in &report.rows {
        let cells: Vec<String> = cells(report, row).iter().map(|c| c.replace('|', "\\|")).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

/// The report as CSV with a header, full precision.
pub fn csv(report: &Report) -> String {
    let bert = report.encoder.is_some();
    let more = if bert { ",bert_precision,bert_recall,bert_f" } else { "" };
    let mut out = format!("method,documents,loss,rouge1,rouge2,rougeL,sparsity,train_seconds{more}\n");
    for row in &report.rows {
        let method = format!("\"{}\"", row.method.replace('"', "\"\""));
        let r = row.rouge;
        let _ = write!(
            out,
            "{method},{},{},{},{},{},{},{}",
            row.documents, row.loss, r.rouge1, r.rouge2, r.rouge_l, row.sparsity, row.seconds
        );
        let _ = match row.bert {
            Some(b) if bert => writeln!(out, ",{},{},{}", b.precision, b.recall, b.f),
            _ => writeln!(out, "{}", if bert { ",,," } else { "" }),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::{BertScore, Rouge};

    #[test]
    fn the_three_forms_hold_the_same_rows() {
        let row = |method: &str, rouge_l| ReportRow {
            method: method.into(),
            documents: 48,
            loss: 2.5,
            rouge: Rouge { rouge1: 30.0, rouge2: 9.5, rouge_l },
            sparsity: 0.5,
            seconds: 12.25,
            bert: None,
        };
        let report = Report {
            split: "test".into(),
            rows: vec![row("zero-shot", 21.0), row("a|b \"c\"", 101.25)],
            encoder: None,
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
        assert!(csv(&report).ends_with("\"a|b \"\"c\"\"\",48,2.5,30,9.5,101.25,0.5,12.25\n"));
        // With an encoder there is a column more, and a line that names it.
        let mut scored = Report { encoder: Some("bert-base-uncased, layer 9".into()), ..report };
        scored.rows[1].bert = Some(BertScore { precision: 60.0, recall: 70.0, f: 64.6154 });
        assert!(table(&scored).ends_with("BERT: BERTScore F by bert-base-uncased, layer 9, not rescaled\n"));
        assert!(markdown(&scored).contains("| 101.25 | 64.62 | 50.0% |"), "{}", markdown(&scored));
        assert!(csv(&scored).ends_with(",12.25,60,70,64.6154\n") && csv(&scored).contains(",12.25,,,\n"));
    }
}
