//! An evaluation as text, Markdown, CSV, HTML and LaTeX.

use super::{Evaluation, Figure, Row};
use crate::text::printable;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// A column: its head and what a row has there.
type Column = (&'static str, fn(&Row) -> String);

/// A figure: its name in files and where a row has it.
type Named = (&'static str, fn(&Row) -> Figure);

const COLUMNS: [Column; 11] = [
    ("loss", |row| shown(&row.loss, 3)),
    ("R-1", |row| shown(&row.rouge1, 2)),
    ("R-2", |row| shown(&row.rouge2, 2)),
    ("R-L", |row| shown(&row.rouge_l, 2)),
    ("", |row| row.against.map_or("", |a| a.mark()).to_owned()),
    ("BLEU", |row| shown(&row.bleu, 2)),
    ("length", |row| shown(&row.length, 2)),
    ("copied", |row| shown(&row.copied, 2)),
    ("repeated", |row| shown(&row.repeated, 2)),
    ("sparsity", |row| format!("{:.1}%", 100.0 * row.sparsity.mean)),
    ("train", |row| format!("{:.0}s", row.seconds.mean)),
];

fn shown(figure: &Figure, digits: usize) -> String {
    let spread = figure.spread.map_or(String::new(), |spread| format!("±{spread:.digits$}"));
    format!("{:.digits$}{spread}", figure.mean)
}

fn name(row: &Row) -> String {
    printable(&row.method).into_owned()
}

/// What the figures are, in plain words.
pub fn legend(of: &Evaluation) -> Vec<String> {
    let seeds = of.rows.iter().map(|row| row.seeds.len()).max().unwrap_or(0);
    let spread = if seeds > 1 { format!("; mean ± standard deviation of {seeds} seeds") } else { String::new() };
    let mut lines = vec![
        format!("{} {} documents, greedy summaries, loss in nats per summary token{spread}", of.documents, of.split),
        format!("R: ROUGE F over {}; BLEU over {} tokens", of.tokens[0], of.tokens[1]),
        "length: tokens for each of the reference; copied: share of tokens in fragments of the document; repeated: of 4-grams"
            .to_owned(),
        format!(
            "* p < 0.05, ** p < 0.01: R-L differs from that of {} (paired randomisation over documents)",
            printable(&of.reference)
        ),
    ];
    lines.extend(of.notes.iter().map(|note| format!("note: {}", printable(note))));
    lines
}

/// Aligned for a terminal, with the legend.
pub fn text(of: &Evaluation) -> String {
    let mut lines: Vec<Vec<String>> =
        vec![std::iter::once("method").chain(COLUMNS.map(|c| c.0)).map(String::from).collect()];
    lines.extend(of.rows.iter().map(|row| std::iter::once(name(row)).chain(COLUMNS.map(|c| c.1(row))).collect()));
    let width = |at: usize| lines.iter().map(|line| line[at].width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=COLUMNS.len()).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let mut row = String::new();
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width - cell.width());
            let mark = at > 0 && COLUMNS[at - 1].0.is_empty();
            // Marks stand right behind their number.
            let (between, cell) = match at {
                0 => ("", format!("{cell}{gap}")),
                _ if mark => ("", format!("{cell}{gap}")),
                _ => ("  ", format!("{gap}{cell}")),
            };
            write!(row, "{between}{cell}").ok();
        }
        out.push_str(row.trim_end());
        out.push('\n');
    }
    for line in legend(of) {
        writeln!(out, "{line}").ok();
    }
    out
}

/// Cells with the marks behind R-L, for tables without a column of marks.
fn cells(row: &Row) -> Vec<String> {
    let mark = row.against.map_or("", |a| a.mark());
    let cells = COLUMNS.iter().filter(|column| !column.0.is_empty());
    cells.map(|(head, of)| if *head == "R-L" { of(row) + mark } else { of(row) }).collect()
}

fn heads() -> Vec<&'static str> {
    COLUMNS.iter().map(|column| column.0).filter(|head| !head.is_empty()).collect()
}

/// A Markdown table with the legend.
pub fn markdown(of: &Evaluation) -> String {
    let mut out = format!("# {}\n\n| method | {} |\n|---|", printable(&of.name), heads().join(" | "));
    out.push_str(&"---:|".repeat(heads().len()));
    out.push('\n');
    for row in &of.rows {
        let cells: Vec<String> = cells(row).iter().map(|c| c.replace('*', "\\*")).collect();
        writeln!(out, "| {} | {} |", name(row).replace('|', "\\|"), cells.join(" | ")).ok();
    }
    out.push('\n');
    for line in legend(of) {
        writeln!(out, "{}\n", line.replace('*', "\\*")).ok();
    }
    out
}

/// All figures in full precision, one method a line.
pub fn csv(of: &Evaluation) -> String {
    let figures: [Named; 11] = [
        ("loss", |r| r.loss),
        ("rouge1", |r| r.rouge1),
        ("rouge2", |r| r.rouge2),
        ("rougeL", |r| r.rouge_l),
        ("rougeLsum", |r| r.rouge_l_sum),
        ("bleu", |r| r.bleu),
        ("length_ratio", |r| r.length),
        ("copied", |r| r.copied),
        ("repeated", |r| r.repeated),
        ("sparsity", |r| r.sparsity),
        ("train_seconds", |r| r.seconds),
    ];
    let mut out = String::from("method,seeds,documents");
    for (head, _) in figures {
        write!(out, ",{head},{head}_sd").ok();
    }
    out.push_str(",rougeL_difference,rougeL_low,rougeL_high,rougeL_p\n");
    for row in &of.rows {
        write!(out, "\"{}\",{},{}", name(row).replace('"', "\"\""), row.seeds.len(), of.documents).ok();
        for (_, figure) in figures {
            let figure = figure(row);
            write!(out, ",{},{}", figure.mean, figure.spread.map_or(String::new(), |s| s.to_string())).ok();
        }
        match &row.against {
            Some(against) => {
                let (low, high) =
                    against.bounds.map_or((String::new(), String::new()), |b| (b.0.to_string(), b.1.to_string()));
                writeln!(out, ",{},{low},{high},{}", against.difference, against.p).ok();
            }
            None => out.push_str(",,,,\n"),
        }
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// One page, with nothing from elsewhere.
pub fn html(of: &Evaluation) -> String {
    let title = escaped(&printable(&of.name));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\nbody {{ font: 15px/1.5 \
         system-ui, sans-serif; margin: 2em; color: #222; }}\ntable {{ border-collapse: collapse; }}\nth, td {{ padding: .25em .7em; \
         text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }}\nth:first-child, \
         td:first-child {{ text-align: left; }}\n</style></head><body>\n<h1>{title}</h1>\n<table><tr><th>method</th>"
    );
    heads().iter().for_each(|head| out += &format!("<th>{head}</th>"));
    out.push_str("</tr>\n");
    for row in &of.rows {
        write!(out, "<tr><td>{}</td>", escaped(&name(row))).ok();
        cells(row).iter().for_each(|cell| out += &format!("<td>{}</td>", escaped(cell)));
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
    legend(of).iter().for_each(|line| out += &format!("<p>{}</p>\n", escaped(line)));
    out.push_str("</body></html>\n");
    out
}

/// What LaTeX would read as its own is written so that it shows.
fn latex_text(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '±' => out.push_str("$\\pm$"),
            '<' => out.push_str("$<$"),
            _ => out.push(c),
        }
    }
    out
}

/// A `tabular` (packages: booktabs) with the legend as a comment.
pub fn latex(of: &Evaluation) -> String {
    let mut out = String::new();
    legend(of).iter().for_each(|line| out += &format!("% {line}\n"));
    write!(
        out,
        "\\begin{{tabular}}{{l{}}}\n\\toprule\nmethod & {} \\\\\n\\midrule\n",
        "r".repeat(heads().len()),
        heads().join(" & ")
    )
    .ok();
    for row in &of.rows {
        let cells: Vec<String> = cells(row).iter().map(|c| latex_text(c)).collect();
        writeln!(out, "{} & {} \\\\", latex_text(&name(row)), cells.join(" & ")).ok();
    }
    out.push_str("\\bottomrule\n\\end{tabular}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::super::Against;
    use super::*;

    fn evaluation() -> Evaluation {
        let figure = |mean: f64| Figure { mean, spread: Some(0.25) };
        let row = |method: &str, p: Option<f64>| Row {
            method: method.into(),
            seeds: vec![1, 2],
            loss: figure(3.5),
            rouge1: figure(22.0),
            rouge2: figure(7.0),
            rouge_l: figure(21.0),
            rouge_l_sum: figure(21.0),
            bleu: figure(3.0),
            length: figure(1.1),
            copied: figure(0.6),
            repeated: figure(0.0),
            sparsity: figure(0.5),
            seconds: figure(12.4),
            against: p.map(|p| Against { difference: -1.5, bounds: Some((-3.0, -0.1)), p }),
        };
        Evaluation {
            name: "games & <more>".into(),
            split: "test".into(),
            documents: 66,
            tokens: ["words".into(), "13a".into()],
            reference: "the 50% one".into(),
            rows: vec![row("a|b, \"c\"\u{1b}[31m", Some(0.004)), row("the 50% one", None), row("同じ", Some(0.03))],
            notes: vec!["3 of 4 <x> & \u{1b}".into()],
        }
    }

    #[test]
    fn columns_stand_under_their_heads() {
        let text = text(&evaluation());
        let lines: Vec<&str> = text.lines().collect();
        assert!(!text.contains('\u{1b}'), "{text}");
        let end = |line: &str, word: &str| line[..line.find(word).unwrap_or(0) + word.len()].width();
        for (line, loss) in [(1, "3.500±0.250"), (3, "3.500±0.250")] {
            assert_eq!(end(lines[line], loss), end(lines[0], "loss"), "{text}");
        }
        assert!(
            lines[1].contains("21.00±0.25**") && lines[3].contains("21.00±0.25*") && !lines[2].contains('*'),
            "{text}"
        );
        assert!(text.contains("66 test documents") && text.contains("2 seeds"), "{text}");
    }

    #[test]
    fn no_format_is_broken_by_a_name() {
        let of = evaluation();
        assert!(html(&of).contains("note: 3 of 4 &lt;x&gt; &amp; "), "{}", html(&of));
        assert!(markdown(&of).contains("| a\\|b, \"c\""), "{}", markdown(&of));
        assert!(markdown(&of).contains("21.00±0.25\\*\\* |"), "{}", markdown(&of));
        let csv = csv(&of);
        let first = csv.lines().next().map_or(0, |l| l.split(',').count());
        assert!(csv.lines().nth(2).is_some_and(|l| l.split(',').count() == first), "{csv}");
        assert!(csv.contains("\"a|b, \"\"c\"\""), "{csv}");
        assert!(html(&of).contains("<h1>games &amp; &lt;more&gt;</h1>"));
        assert!(latex(&of).contains("the 50\\% one & 3.500$\\pm$0.250 &"), "{}", latex(&of));
        for text in [markdown(&of), csv, html(&of), latex(&of)] {
            assert!(!text.contains('\u{1b}'), "{text}");
        }
    }
}
