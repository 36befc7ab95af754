//! `lopper hub fetch`: one line that moves on a terminal, lines now and then elsewhere.

use super::as_json;
use crate::cli::say;
use crate::hub::client::Client;
use crate::hub::download::board::Standing;
use crate::hub::download::{self, Board, Plan, State};
use crate::hub::reference::Reference;
use crate::hub::{place, supply};
use crate::run::estimate::bytes;
use crate::text::{counted, printable};
use crate::{Error, Result};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use unicode_width::UnicodeWidthChar;

/// Between two lines where standard error is no terminal.
const PACE: Duration = Duration::from_secs(5);

/// Whether one line can move there: a terminal that knows how.
pub(super) fn is_drawn_on() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb" && !term.is_empty())
}

/// Columns of the terminal behind standard error, where it has any.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The beginning of a line, as much as fits: one that is broken into two could not be drawn over.
fn fitting(line: &str, columns: usize) -> &str {
    let mut taken = 0;
    let end = line.char_indices().find(|(_, c)| {
        taken += c.width().unwrap_or(0);
        taken >= columns
    });
    end.map_or(line, |(at, _)| &line[..at])
}

/// Fetches them one after another; a terminal's ctrl-c leaves what was fetched.
///
/// # Errors
/// As the hub refuses the first, and where the cache cannot be written.
pub fn fetch(client: &Client, all: &[Reference], file: Option<&str>, dry_run: bool, json: bool) -> Result<u8> {
    let mut told = Vec::new();
    for what in all {
        // With a commit that is here nothing has to be asked.
        let folder = what.folder(&client.environment().cache);
        let settled = (what.is_pinned() || client.environment().offline) && file.is_none() && supply::is_whole(&folder);
        if settled {
            let link = place::of_cache(&folder).map_or_else(|| what.link(), |pinned| pinned.link());
            if !json {
                say(&format!("{what}: in the cache already\n{}", written(&link, &folder)))?;
            }
            told.push(serde_json::json!({ "reference": link, "folder": folder.to_string_lossy(), "bytes": 0 }));
            continue;
        }
        let plan = supply::wait(download::plan(client, what, file))?;
        if dry_run {
            if json {
                told.push(serde_json::to_value(&plan).map_err(|e| Error::fault(e.to_string()))?);
            } else {
                say(&listing(&plan))?;
            }
            continue;
        }
        let Some((folder, arrived)) = supply::wait(shown(client, &plan))? else {
            return Ok(130);
        };
        let link = plan.pinned().link();
        if !json {
            say(&format!(
                "{what}: {}, {}\n{}",
                counted(plan.files.len(), "file"),
                bytes(plan.bytes()),
                written(&link, &folder)
            ))?;
        }
        told.push(serde_json::json!({ "reference": link, "folder": folder.to_string_lossy(), "bytes": arrived }));
    }
    if json {
        as_json(&told)?;
    }
    Ok(0)
}

/// What a recipe says, and where it lies.
fn written(link: &str, folder: &std::path::Path) -> String {
    format!("  in a recipe: \"{link}\"\n  {}", printable(&folder.display().to_string()))
}

fn listing(plan: &Plan) -> String {
    let head =
        format!("{} at {}: {} in {}", plan.id, &plan.commit, bytes(plan.bytes()), counted(plan.files.len(), "file"));
    let lines = plan.files.iter().map(|f| format!("  {:>9}  {}", bytes(f.size), printable(&f.path)));
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

/// Fetches with its progress on standard error; `None` where ctrl-c ended it. With the folder: bytes that arrived.
async fn shown(client: &Client, plan: &Plan) -> Result<Option<(PathBuf, u64)>> {
    let board = Board::default();
    let terminal = is_drawn_on();
    let mut work = std::pin::pin!(download::fetch(client, plan, &board));
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut last = Instant::now();
    let tick = if terminal { Duration::from_millis(200) } else { Duration::from_secs(1) };
    let ended = loop {
        tokio::select! {
            ended = &mut work => break Some(ended),
            _ = &mut interrupted => break None,
            () = tokio::time::sleep(tick) => {}
        }
        let standing = board.standing();
        if terminal {
            let line = line(plan, &standing);
            draw(&format!("\r\x1b[K{}", columns().map_or(&*line, |columns| fitting(&line, columns))));
        } else if last.elapsed() >= PACE {
            last = Instant::now();
            draw(&format!("{}\n", line(plan, &standing)));
        }
    };
    let standing = board.standing();
    if terminal {
        draw("\r\x1b[K");
    }
    if let Some(folder) = ended {
        return folder.map(|folder| Some((folder, board.arrived())));
    }
    draw(&format!(
        "stopped: {} of {} of {} are kept; the same command goes on from there\n",
        bytes(standing.done),
        bytes(standing.total),
        plan.id
    ));
    Ok(None)
}

fn draw(text: &str) {
    let mut out = std::io::stderr().lock();
    // A terminal that is gone takes nothing; the download goes on.
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

/// `a/b  45 %  1.2 GB of 2.7 GB  31 MB/s  0:48 left  model.safetensors`
fn line(plan: &Plan, standing: &Standing) -> String {
    let share = if standing.total == 0 { 0.0 } else { standing.done as f64 / standing.total as f64 };
    let left = standing.left.map_or(String::new(), |s| format!("  {}:{:02} left", s as u64 / 60, s as u64 % 60));
    let busy = standing.lines.iter().find(|l| !matches!(l.state, State::Done | State::Waiting));
    let busy = busy.map_or(String::new(), |l| match l.state {
        State::Locked => format!("  {} (another program fetches it)", l.path),
        State::Again => format!("  {} (tried again)", l.path),
        _ => format!("  {}", l.path),
    });
    format!(
        "{}  {:.0} %  {} of {}  {}/s{left}{busy}",
        plan.id,
        share * 100.0,
        bytes(standing.done),
        bytes(standing.total),
        bytes(standing.rate as u64)
    )
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn a_line_that_moves_leaves_the_last_column_free() {
        assert_eq!(fitting("a/b  45 %", 80), "a/b  45 %");
        assert_eq!(fitting("abcdef", 7), "abcdef");
        assert_eq!(fitting("abcdef", 6), "abcde");
        // Wide characters take two.
        assert_eq!(fitting("日本語", 5), "日本");
        assert_eq!(fitting("日本語", 6), "日本");
        assert_eq!(fitting("日本語", 7), "日本語");
        assert_eq!(fitting("abc", 1), "");
    }
}
