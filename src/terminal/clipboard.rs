//! The clipboard of the terminal that the user sits at: over SSH there is no other.

use crate::Result;
use std::io::Write;
use std::process::{Command, Stdio};

/// Hands `text` to the terminal by OSC 52, inside tmux through tmux, which knows its own terminals. Whether it
/// took it, no terminal says.
///
/// # Errors
/// When it cannot be written.
pub fn send(text: &str) -> Result<()> {
    if std::env::var_os("TMUX").is_some_and(|v| !v.is_empty()) && through_tmux(text).is_ok() {
        return Ok(());
    }
    crossterm::execute!(std::io::stdout(), crossterm::clipboard::CopyToClipboard::to_clipboard_from(text))
        .map_err(|e| super::failed(&e))
}

/// `-w` sends the buffer on to the outer terminal's clipboard.
fn through_tmux(text: &str) -> std::io::Result<()> {
    let mut child = Command::new("tmux")
        .args(["load-buffer", "-w", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    if child.wait()?.success() { Ok(()) } else { Err(std::io::Error::other("tmux refused it")) }
}
