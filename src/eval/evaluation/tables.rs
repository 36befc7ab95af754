//! An evaluation as text, Markdown, HTML and LaTeX.

pub use super::csv::csv;
pub use super::legend::legend;

use super::columns::{Column, INTERVAL, RANKED, columns};
use super::legend::lines_of;
use super::{Evaluation, Row};
use crate::eval::markup;
use crate::text::printable;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// What stands for a figure that there is none of.
const NONE: &str = "-";

fn mark(row: &Row) -> &'static str {
    row.against.map_or("", |a| a.mark())
}

pub(super) fn name(row: &Row) -> String {
    printable(&row.method).into_owned()
}

fn cell(column: &Column, row: &Row) -> String {
    let shown = column.shown(row);
    if shown.is_empty() { NONE.to_owned() } else { shown }
}

/// What a terminal has room for.
const WIDTH: usize = 120;

/// Aligned for a terminal, with the legend: the columns that there is room for, the least weighty left out first.
pub fn text(of: &Evaluation) -> String {
    let mut columns = columns(Some(of));
    let mut left_out = Vec::new();
    // Beside a spread the interval is one number too many.
    if of.rows.iter().any(|row| row.seeds.len() > 1) {
        columns.retain(|column| column.head != INTERVAL);
    }
    let mut lines = aligned(of, &columns);
    while lines.iter().any(|line| line.width() > WIDTH) && columns.len() > 1 {
        let weighed = columns.iter().enumerate();
        let lightest = weighed.min_by_key(|(at, column)| (column.weight, usize::MAX - at)).map_or(0, |(at, _)| at);
        left_out.push(columns.remove(lightest));
        lines = aligned(of, &columns);
    }
    if !left_out.is_empty() {
        let heads: Vec<&str> = left_out.iter().map(|column| column.head).collect();
        lines.push(format!("in the files, with no room here: {}", heads.join(", ")));
    }
    lines.extend(lines_of(of, &columns));
    lines.join("\n") + "\n"
}

/// The heads and the rows, in columns.
fn aligned(of: &Evaluation, columns: &[Column]) -> Vec<String> {
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
    let line = |line: &Vec<String>| {
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
        row.trim_end().to_owned()
    };
    lines.iter().map(line).collect()
}

/// Cells with the marks behind R-L, and how far that is from the reference's, for tables with room.
fn cells(of: &Evaluation, row: &Row) -> Vec<String> {
    let cell = |c: &Column| if c.head == RANKED { cell(c, row) + mark(row) } else { cell(c, row) };
    columns(Some(of)).iter().map(cell).chain([difference(row)]).collect()
}

fn heads(of: &Evaluation) -> Vec<&'static str> {
    columns(Some(of)).iter().map(|column| column.head).chain(["R-L difference (95 %)"]).collect()
}

/// `+1.52 (-1.10 to +4.01), p 0.260, Holm's p 0.520`: from the reference's R-L; empty of the reference itself.
fn difference(row: &Row) -> String {
    let none = if row.figures.is_some() { "" } else { NONE };
    row.against.map_or(none.to_owned(), |a| {
        let bounds = a.bounds.map_or(String::new(), |(low, high)| format!(" ({low:+.2} to {high:+.2})"));
        let p = |p: f64| if p < 0.001 { "p < 0.001".to_owned() } else { format!("p {p:.3}") };
        let holm = a.p_holm.map_or(String::new(), |holm| format!(", Holm's {}", p(holm)));
        format!("{:+.2}{bounds}, {}{holm}", a.difference, p(a.p))
    })
}

/// A Markdown table with the legend.
pub fn markdown(of: &Evaluation) -> String {
    let title = markup::markdown(&printable(&of.name));
    let mut out = format!("# {title}\n\n| method | {} |\n|---|", heads(of).join(" | "));
    out.push_str(&"---:|".repeat(heads(of).len()));
    out.push('\n');
    for row in &of.rows {
        let cells: Vec<String> = cells(of, row).iter().map(|cell| markup::markdown(cell)).collect();
        writeln!(out, "| {} | {} |", markup::markdown(&name(row)), cells.join(" | ")).ok();
    }
    out.push('\n');
    for line in legend(of) {
        writeln!(out, "{}\n", markup::markdown(&line)).ok();
    }
    out
}

/// What an address has as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A run directory beside the page.
fn link(run: &str) -> String {
    format!("<a href=\"./{}/\">{}</a>", utf8_percent_encode(run, PLAIN), markup::html(&printable(run)))
}

/// One page, with nothing from elsewhere.
pub fn html(of: &Evaluation) -> String {
    let title = markup::html(&printable(&of.name));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\nbody {{ font: 15px/1.5 \
         system-ui, sans-serif; margin: 2em; color: #222; }}\ntable {{ border-collapse: collapse; }}\nth, td {{ padding: .25em .7em; \
         text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }}\nth:first-child, \
         td:first-child {{ text-align: left; }}\n</style></head><body>\n<h1>{title}</h1>\n<table><tr><th>method</th>"
    );
    let has_runs = of.rows.iter().any(|row| !row.runs.is_empty());
    heads(of).iter().chain(has_runs.then_some(&"runs")).for_each(|head| out += &format!("<th>{head}</th>"));
    out.push_str("</tr>\n");
    for row in &of.rows {
        write!(out, "<tr><td>{}</td>", markup::html(&name(row))).ok();
        cells(of, row).iter().for_each(|cell| out += &format!("<td>{}</td>", markup::html(cell)));
        if has_runs {
            write!(out, "<td>{}</td>", row.runs.iter().map(|run| link(run)).collect::<Vec<_>>().join("<br>")).ok();
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
    legend(of).iter().for_each(|line| out += &format!("<p>{}</p>\n", markup::html(line)));
    out.push_str("</body></html>\n");
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
        heads(of).iter().map(|head| markup::latex(head)).collect::<Vec<_>>().join(" & ")
    )
    .ok();
    for row in &of.rows {
        let cells: Vec<String> = cells(of, row).iter().map(|c| markup::latex(c)).collect();
        writeln!(out, "{} & {} \\\\", markup::latex(&name(row)), cells.join(" & ")).ok();
    }
    out.push_str("\\bottomrule\n\\end{tabular}\n");
    out
}

#[cfg(test)]
mod tests;
