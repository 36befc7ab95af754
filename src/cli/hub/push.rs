//! `lopper hub push`: what will be uploaded, the question, the upload.

use crate::cli::say;
use crate::hub::client::Client;
use crate::hub::push::{Parcel, There};
use crate::hub::reference::Reference;
use crate::hub::supply;
use crate::run::RunDir;
use crate::run::estimate::bytes;
use crate::text::printable_lines;
use crate::theme::Theme;
use crate::{Error, Result, ui};
use std::io::{IsTerminal, Write};

/// The picture of the card.
const PICTURE: &str = "heatmap.svg";

/// What the user said beside run and repository.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub public: bool,
    pub dry_run: bool,
    pub yes: bool,
}

/// Uploads a run's result.
///
/// # Errors
/// When the run has none, the user doesn't confirm, or the hub refuses it.
pub fn push(client: &Client, run: &RunDir, what: &Reference, asked: Asked, theme: &Theme) -> Result<u8> {
    if what.revision != crate::hub::reference::MAIN {
        return Err(Error::user(format!("{what}: a result is uploaded to main; leave out @{}", what.revision)));
    }
    if !what.id.contains('/') {
        return Err(Error::user(format!("{what}: whose is it? Use ORG/NAME, with your account's name for ORG")));
    }
    let picture = ui::page::heatmap_of_run(run, theme)?.map(|svg| (PICTURE, svg.into_bytes()));
    let parcel = Parcel::of(run, what, picture)?;
    if asked.dry_run {
        say(&preview(&parcel, None))?;
        return Ok(0);
    }
    let (account, there) = supply::wait(async {
        let account = client.account().await?;
        Ok((account, client.there(what).await?))
    })?;
    let visible = match there {
        There::Nothing if asked.public => "is made, for everybody to see",
        There::Nothing => "is made, private (--public lets everybody see it)",
        There::Public => "is there, public: files of the same names are replaced in a new commit",
        There::Private => "is there, private: files of the same names are replaced in a new commit",
    };
    let place = format!("{}/{}", client.environment().shown_endpoint(), what.id);
    say(&preview(&parcel, Some(&format!("as {account} to {place}, which {visible}"))))?;
    if !asked.yes && !confirmed(&what.id)? {
        say("nothing was uploaded")?;
        return Ok(0);
    }
    let terminal = super::fetch::is_drawn_on();
    let told = |file: &str, sent: u64| {
        if terminal {
            let mut out = std::io::stderr().lock();
            let line = format!("\r\x1b[K{} of {}  {file}", bytes(sent), bytes(parcel.bytes()));
            out.write_all(line.as_bytes()).and_then(|()| out.flush()).ok();
        }
    };
    let page = supply::wait(client.push(&parcel, !asked.public, &told));
    if terminal {
        std::io::stderr().lock().write_all(b"\r\x1b[K").ok();
    }
    say(&format!("uploaded: {place}\n{}", page?))?;
    Ok(0)
}

/// The card, the files, what should be known.
fn preview(parcel: &Parcel, place: Option<&str>) -> String {
    let mut lines: Vec<String> = printable_lines(&parcel.card()).lines().map(|line| format!("  │ {line}")).collect();
    lines.push(String::new());
    lines.push(format!(
        "{} in {} files{}",
        bytes(parcel.bytes()),
        parcel.files.len(),
        match place {
            Some(place) => format!(", {place}"),
            None => String::new(),
        }
    ));
    lines.extend(parcel.files.iter().map(|f| format!("  {:>9}  {}", bytes(f.size), f.path)));
    lines.extend(parcel.remarks.iter().map(|remark| format!("note: {remark}")));
    lines.join("\n")
}

fn confirmed(id: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::user("nothing was uploaded: there is no terminal to ask; --yes says that it is meant"));
    }
    let mut out = std::io::stderr().lock();
    let asked = out.write_all(format!("Upload to {id}? [y/N] ").as_bytes()).and_then(|()| out.flush());
    asked.map_err(|e| Error::fault(format!("cannot ask: {e}")))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|e| Error::fault(format!("cannot read the answer: {e}")))?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}
