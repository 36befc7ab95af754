//! A recording of the screen: what goes to the terminal, with its times, in asciinema's format (asciicast v2).

use crate::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

/// The recording under way.
static RECORDING: Mutex<Option<Recording>> = Mutex::new(None);
/// Why it ended before its time.
static FAILURE: Mutex<Option<Failure>> = Mutex::new(None);

struct Failure {
    sentence: String,
    /// Whether the screen has it.
    shown: bool,
}

struct Recording {
    file: File,
    /// Of what is whole, bytes.
    length: u64,
    start: Instant,
    name: String,
}

impl Recording {
    fn write(&mut self, kind: &str, data: &str) -> std::io::Result<()> {
        let line = serde_json::json!([self.start.elapsed().as_secs_f64(), kind, data]);
        let line = format!("{line}\n");
        // A line at a time: what is there is complete, whatever happens next.
        self.file.write_all(line.as_bytes())?;
        self.length += line.len() as u64;
        Ok(())
    }

    /// The sentence for an error, after which half a line may be there: it goes.
    fn end(self, error: &std::io::Error) -> String {
        let kept = match self.file.set_len(self.length) {
            Ok(()) => "what was recorded until then is there",
            Err(_) => "what was recorded until then is there, with a torn line at its end",
        };
        format!("{}; {kept}", Error::io("go on recording into", Path::new(&self.name), error))
    }
}

/// Starts a recording of a screen of `size` in a new file.
///
/// # Errors
/// When there is such a file, or it cannot be written.
pub fn start(path: &Path, (width, height): (u16, u16)) -> Result<()> {
    let failed = |e| Error::io("record into", path, &e);
    let mut file = File::options().write(true).create_new(true).open(path).map_err(failed)?;
    let header = serde_json::json!({
        "version": 2,
        "width": width,
        "height": height,
        "timestamp": crate::run::now() as u64,
        "title": "lopper",
        "env": { "TERM": std::env::var("TERM").unwrap_or_default() },
    });
    let header = format!("{header}\n");
    file.write_all(header.as_bytes()).map_err(|e| {
        std::fs::remove_file(path).ok();
        failed(e)
    })?;
    let (length, name) = (header.len() as u64, path.display().to_string());
    let recording = Recording { file, length, start: Instant::now(), name };
    if let Ok(mut slot) = RECORDING.lock() {
        *slot = Some(recording);
    }
    Ok(())
}

/// Ends it.
pub fn stop() {
    if let Ok(mut slot) = RECORDING.try_lock() {
        slot.take();
    }
}

/// What was written to the terminal.
pub fn output(bytes: &[u8]) {
    note("o", &String::from_utf8_lossy(bytes));
}

/// The terminal has another size.
pub fn resize((width, height): (u16, u16)) {
    note("r", &format!("{width}x{height}"));
}

/// Why the recording ended before its time, for the screen: once.
pub fn failure() -> Option<String> {
    let mut failure = FAILURE.try_lock().ok()?;
    let failure = failure.as_mut().filter(|failure| !failure.shown)?;
    failure.shown = true;
    Some(failure.sentence.clone())
}

/// Why the recording ended before its time, for after the screen, whether it was shown there or not: once.
pub fn ended_early() -> Option<String> {
    Some(FAILURE.try_lock().ok()?.take()?.sentence)
}

fn note(kind: &str, data: &str) {
    // Never waits: it is called while a panic gives the terminal back, too.
    let Ok(mut slot) = RECORDING.try_lock() else { return };
    let Some(Err(e)) = slot.as_mut().map(|recording| recording.write(kind, data)) else { return };
    if let Some(sentence) = slot.take().map(|recording| recording.end(&e))
        && let Ok(mut failure) = FAILURE.try_lock()
    {
        *failure = Some(Failure { sentence, shown: false });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_asciicast_and_replaces_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.cast");
        start(&path, (80, 24)).unwrap();
        output("\x1b[2J重\"".as_bytes());
        resize((100, 30));
        stop();
        output(b"after");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!((&lines[0]["version"], &lines[0]["width"], lines.len()), (&2.into(), &80.into(), 3));
        assert_eq!((&lines[1][1], &lines[1][2]), (&"o".into(), &"\x1b[2J重\"".into()));
        assert_eq!((&lines[2][1], &lines[2][2]), (&"r".into(), &"100x30".into()));
        assert!(lines[1][0].as_f64().unwrap() <= lines[2][0].as_f64().unwrap());
        assert_eq!(start(&path, (80, 24)).unwrap_err().exit_code(), 2);
    }
}
