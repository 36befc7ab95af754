//! An evaluation as text, Markdown, CSV, HTML and LaTeX.

use super::columns::{Column, RANKED, columns};
use super::{Evaluation, Figure, Figures, Row, failures};
use crate::text::printable;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// A figure: its name in files and where it stands.
type Named = (&'static str, fn(&Figures) -> Option<Figure>);

/// What stands for a figure that there is none of.
const NONE: &str = "-";

fn mark(row: &Row) -> &'static str {
    row.against.map_or("", |a| a.mark())
}

fn name(row: &Row) -> String {
    printable(&row.method).into_owned()
}

fn cell(column: &Column, row: &Row) -> String {
    if row.figures.is_some() { column.shown(row) } else { NONE.to_owned() }
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
        compared(of),
    ];
    if let Some(encoder) = &of.encoder {
        lines.push(format!("BERT: BERTScore F by {}, not rescaled", printable(encoder)));
    }
    let scored = |method: &str| of.rows.iter().any(|row| row.method == method && row.figures.is_some());
    lines.extend(failures(of.rows.iter().map(|row| row.method.as_str()), &of.undone, scored));
    lines.extend(of.notes.iter().map(|note| format!("note: {}", printable(note))));
    lines
}

/// What the marks say, or why there are none.
fn compared(of: &Evaluation) -> String {
    let reference = printable(&of.reference);
    if of.rows.iter().any(|row| row.method == of.reference && row.figures.is_none()) {
        return format!("R-L is compared with that of no method: {reference} has none");
    }
    format!("* p < 0.05, ** p < 0.01: R-L differs from that of {reference} (paired randomisation over documents)")
}

/// Aligned for a terminal, with the legend.
pub fn text(of: &Evaluation) -> String {
    let columns = columns(Some(of));
    // Marks have a column of their own right behind their number.
    let heads = columns.iter().flat_map(|c| if c.head == RANKED { vec![c.head, ""] } else { vec![c.head] });
    let heads: Vec<&str> = heads.collect();
    let row = |row: &Row| -> Vec<String> {
        let cells = |c: &Column| {
            let cell = cell(c, row);
            if c.head == RANKED { vec![cell, mark(row).to_owned()] } else { vec![cell] }
        };
        std::iter::once(name(row)).chain(columns.iter().flat_map(cells)).collect()
    };
    let mut lines: Vec<Vec<String>> =
        vec![std::iter::once("method").chain(heads.iter().copied()).map(String::from).collect()];
    lines.extend(of.rows.iter().map(row));
    let width = |at: usize| lines.iter().map(|line| line[at].width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=heads.len()).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let mut row = String::new();
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let gap = " ".repeat(width - cell.width());
            let mark = at > 0 && heads[at - 1].is_empty();
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

/// Cells with the marks behind R-L, and how far that is from the reference's, for tables with room.
fn cells(of: &Evaluation, row: &Row) -> Vec<String> {
    let cell = |c: &Column| if c.head == RANKED { cell(c, row) + mark(row) } else { cell(c, row) };
    columns(Some(of)).iter().map(cell).chain([difference(row)]).collect()
}

fn heads(of: &Evaluation) -> Vec<&'static str> {
    columns(Some(of)).iter().map(|column| column.head).chain(["R-L difference (95 %)"]).collect()
}

/// `+1.52 (-1.10 to +4.01), p 0.26`: from the reference's R-L; empty of the reference itself.
fn difference(row: &Row) -> String {
    let none = if row.figures.is_some() { "" } else { NONE };
    row.against.map_or(none.to_owned(), |a| {
        let bounds = a.bounds.map_or(String::new(), |(low, high)| format!(" ({low:+.2} to {high:+.2})"));
        let p = if a.p < 0.001 { "p < 0.001".to_owned() } else { format!("p {:.3}", a.p) };
        format!("{:+.2}{bounds}, {p}", a.difference)
    })
}

/// A Markdown table with the legend.
pub fn markdown(of: &Evaluation) -> String {
    let mut out = format!("# {}\n\n| method | {} |\n|---|", printable(&of.name), heads(of).join(" | "));
    out.push_str(&"---:|".repeat(heads(of).len()));
    out.push('\n');
    for row in &of.rows {
        let cells: Vec<String> = cells(of, row).iter().map(|c| c.replace('*', "\\*")).collect();
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
        ("length_ratio", |f| Some(f.length)),
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
    let quoted = |text: &str| format!("\"{}\"", printable(text).replace('"', "\"\""));
    let text = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
    let mut out = String::from("method,seeds,documents");
    for (head, _) in &figures {
        write!(out, ",{head},{head}_sd").ok();
    }
    // `rougeL_p` is a precision.
    for what in ["", "_low", "_high", "_p"] {
        write!(out, ",rougeL_difference{what}").ok();
    }
    out.push_str(",failed\n");
    for row in &of.rows {
        write!(out, "{},{},{}", quoted(&row.method), row.seeds.len(), of.documents).ok();
        for (_, figure) in &figures {
            let figure = row.figures.as_ref().and_then(figure);
            write!(out, ",{},{}", text(figure.map(|f| f.mean)), text(figure.and_then(|f| f.spread))).ok();
        }
        let bounds = row.against.and_then(|a| a.bounds);
        let against =
            [row.against.map(|a| a.difference), bounds.map(|b| b.0), bounds.map(|b| b.1), row.against.map(|a| a.p)];
        let failed = row.failed.as_deref().map_or(String::new(), quoted);
        writeln!(out, ",{},{failed}", against.map(text).join(",")).ok();
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
    heads(of).iter().for_each(|head| out += &format!("<th>{head}</th>"));
    out.push_str("</tr>\n");
    for row in &of.rows {
        write!(out, "<tr><td>{}</td>", escaped(&name(row))).ok();
        cells(of, row).iter().for_each(|cell| out += &format!("<td>{}</td>", escaped(cell)));
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
        "r".repeat(heads(of).len()),
        heads(of).iter().map(|head| latex_text(head)).collect::<Vec<_>>().join(" & ")
    )
    .ok();
    for row in &of.rows {
        let cells: Vec<String> = cells(of, row).iter().map(|c| latex_text(c)).collect();
        writeln!(out, "{} & {} \\\\", latex_text(&name(row)), cells.join(" & ")).ok();
    }
    out.push_str("\\bottomrule\n\\end{tabular}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Against, Undone};
    use super::*;

    fn evaluation() -> Evaluation {
        let figure = |mean: f64| Figure { mean, spread: Some(0.25) };
        let row = |method: &str, p: Option<f64>| Row {
            method: method.into(),
            seeds: vec![1, 2],
            failed: None,
            figures: Some(Figures {
                loss: figure(3.5),
                rouge1_p: figure(40.0),
                rouge_l: figure(21.0),
                sparsity: figure(0.5),
                ..Figures::default()
            }),
            against: p.map(|p| Against { difference: -1.5, bounds: Some((-3.0, -0.1)), p }),
        };
        Evaluation {
            name: "games & <more>".into(),
            split: "test".into(),
            documents: 66,
            tokens: ["words".into(), "13a".into()],
            reference: "the 50% one".into(),
            rows: vec![row("a|b, \"c\"\u{1b}[31m", Some(0.004)), row("the 50% one", None), row("同じ", Some(0.03))],
            undone: Vec::new(),
            notes: vec!["3 of 4 <x> & \u{1b}".into()],
            encoder: None,
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
        let difference = "-1.50 (-3.00 to -0.10), p 0.004";
        for text in [markdown(&of), html(&of), latex(&of)] {
            assert!(text.contains(difference) && text.contains("p 0.030"), "{text}");
        }
        assert!(html(&of).contains("<h1>games &amp; &lt;more&gt;</h1>"));
        assert!(latex(&of).contains("the 50\\% one & 3.500$\\pm$0.250 &"), "{}", latex(&of));
        for text in [markdown(&of), csv, html(&of), latex(&of)] {
            assert!(!text.contains('\u{1b}'), "{text}");
        }
    }

    #[test]
    fn a_method_that_could_not_be_done_has_a_row_without_figures_and_its_reason() {
        let mut of = evaluation();
        let why = "ranks of 4 & \"8\"\u{1b}";
        of.rows.insert(
            1,
            Row {
                method: "linear merge".into(),
                seeds: Vec::new(),
                failed: Some(why.into()),
                figures: None,
                against: None,
            },
        );
        let undone = |method: &str, seed, why: &str| Undone { method: method.into(), seed, why: why.into(), run: None };
        of.undone = vec![undone("linear merge", None, why), undone("同じ", Some(2), "diverged")];
        let told = "failed: linear merge: ranks of 4 & \"8\"\\u{1b}";
        let text = text(&of);
        let line = text.lines().nth(2).unwrap_or_default();
        assert!(line.starts_with("linear merge") && line.matches('-').count() == 10, "{text}");
        assert!(text.contains(told) && text.contains("failed: 同じ, seed 2: diverged"), "{text}");
        let markdown = markdown(&of);
        assert!(markdown.contains(&format!("| linear merge |{}", " - |".repeat(11))) && markdown.contains(told));
        assert!(latex(&of).contains("linear merge & - & - &") && latex(&of).contains(&format!("% {told}")));
        assert!(html(&of).contains("<td>linear merge</td><td>-</td>"));
        assert!(html(&of).contains("<p>failed: linear merge: ranks of 4 &amp; &quot;8&quot;"), "{}", html(&of));
        let csv = csv(&of);
        let cells = |line: &str| line.matches(',').count();
        let mut lines = csv.lines();
        let head = lines.next().unwrap_or_default();
        assert!(head.contains(",rouge1_p,rouge1_p_sd,") && head.contains(",perplexity,"), "{head}");
        assert!(head.ends_with(",rougeL_difference_p,failed"), "{head}");
        let line = lines.nth(1).unwrap_or_default();
        assert!(
            line.starts_with("\"linear merge\",0,66,,,,") && line.ends_with(",\"ranks of 4 & \"\"8\"\"\\u{1b}\""),
            "{line}"
        );
        assert_eq!(cells(line), cells(head));
        // Without the method that the others are compared with there is nothing that the marks say.
        of.reference = "linear merge".into();
        assert!(super::text(&of).contains("compared with that of no method: linear merge has none"));
    }
}
