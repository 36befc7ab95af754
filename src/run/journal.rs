//! `events.jsonl`: appended by one worker, read by anybody at any time.

use super::event::{Event, EventBody, VERSION};
use super::fault;
use crate::{Error, Result, bounded};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A longer line is skipped: nothing that lopper writes comes near it.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// What the end of a journal is looked through for at first, bytes; eight times as much until it is found.
const LAST_WINDOW: u64 = 512 * 1024;

/// The writing end.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    seq: u64,
    /// The last line may lack its end.
    torn: bool,
}

impl Journal {
    /// Opens the journal to append; nothing of it is cut.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path) -> Result<Self> {
        let mut reader = Reader::new(path);
        let mut seq = 0;
        loop {
            let slice = reader.read(4096, 8 << 20)?;
            let Some(last) = slice.last() else { break };
            seq = last.seq + 1;
        }
        let tail = reader.tail()?;
        // All of it but the line's end may have reached the disk.
        if let Ok(event) = Event::parse(&tail) {
            seq = event.seq + 1;
        }
        let torn = !tail.is_empty();
        let file = bounded::append(path).map_err(|e| Error::io("open the journal", path, &e))?;
        Ok(Self { file, path: path.to_path_buf(), seq, torn })
    }

    /// Appends one event as one write. After a worker that died in one, the torn line is ended first; of a write that
    /// failed nothing stays.
    ///
    /// # Errors
    /// When the disk is full or the file is gone.
    pub fn append(&mut self, body: EventBody) -> Result<()> {
        let event = Event { v: VERSION, seq: self.seq, t: super::now(), body };
        let mut line = serde_json::to_vec(&event)
            .map_err(|e| Error::fault(format!("an event could not be written as JSON: {e}")))?;
        line.push(b'\n');
        if self.torn {
            line.insert(0, b'\n');
        }
        let failed = |e: std::io::Error| Error::io("write the journal", &self.path, &e);
        let before = self.file.metadata().map_err(failed)?.len();
        if let Err(e) = fault::write("journal", &mut self.file, &line) {
            // Only this worker writes here: what stands behind `before` is the half of this line.
            self.torn |= self.file.set_len(before).is_err();
            return Err(failed(e));
        }
        self.torn = false;
        self.seq += 1;
        Ok(())
    }

    /// Forces what is written onto the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io("write the journal", &self.path, &e))
    }
}

/// The reading end: remembers how far it has read.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    offset: u64,
    /// Bytes of the file when it was last looked at.
    length: u64,
    /// Lines that were no events.
    pub skipped: u64,
}

impl Reader {
    /// A reader from the start of the journal at `path`, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), offset: 0, length: 0, skipped: 0 }
    }

    /// The next complete lines: at most `events` of them and about `bytes`. Empty when there are no more
    /// for now; a last line without its newline is not yet written.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self, events: usize, bytes: u64) -> Result<Vec<Event>> {
        let (mut out, mut skipped) = (Vec::new(), 0);
        if events > 0 {
            self.lines(bytes, |line| {
                match Event::parse(line) {
                    Ok(event) => out.push(event),
                    Err(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                    Err(_) => skipped += 1,
                }
                out.len() < events
            })?;
        }
        self.skipped += skipped;
        Ok(out)
    }

    /// Calls `take` with the next complete lines, about `bytes` of them, until it returns false. None where there is no
    /// more for now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn lines(&mut self, bytes: u64, mut take: impl FnMut(&[u8]) -> bool) -> Result<()> {
        let failed = |e: &std::io::Error| Error::io("read the journal", &self.path, e);
        let mut file = match bounded::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(failed(&e)),
        };
        self.length = file.metadata().map_err(|e| failed(&e))?.len();
        file.seek(SeekFrom::Start(self.offset)).map_err(|e| failed(&e))?;
        let mut reader = BufReader::with_capacity(256 * 1024, file);
        let mut taken = 0;
        let mut line = Vec::new();
        while taken < bytes {
            line.clear();
            let n = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(|e| failed(&e))? as u64;
            if line.last() != Some(&b'\n') && n < LONGEST_LINE {
                break;
            }
            self.offset += n;
            taken += n;
            if !take(&line) {
                break;
            }
        }
        Ok(())
    }

    /// Bytes that were read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the journal when it was last read.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What stands behind the last complete line.
    fn tail(&self) -> Result<Vec<u8>> {
        let mut rest = Vec::new();
        let mut read = || {
            let mut file = bounded::open(&self.path)?;
            file.seek(SeekFrom::Start(self.offset))?;
            file.take(LONGEST_LINE).read_to_end(&mut rest)
        };
        match read() {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("read the journal", &self.path, &e)),
            _ => Ok(rest),
        }
    }

    /// The event behind the last complete line, of which only the line's end is missing: the next worker ends the
    /// line, so it counts. Only for a run that no worker writes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn unended(&self) -> Result<Option<Event>> {
        Ok(Event::parse(&self.tail()?).ok())
    }

    /// Goes to the end of what is there now: only what is written later will be read.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn skip_to_end(&mut self) -> Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(meta) => self.offset = meta.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io("read the journal", &self.path, &e)),
        }
        Ok(())
    }
}

/// The last event of a type in the journal at `path`, looked for from its end.
///
/// # Errors
/// When the file cannot be read.
pub fn last_of(path: &Path, kind: &str) -> Result<Option<Event>> {
    let failed = |e: &std::io::Error| Error::io("read the journal", path, e);
    let mut file = match bounded::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(&e)),
    };
    let length = file.metadata().map_err(|e| failed(&e))?.len();
    let mut window = LAST_WINDOW;
    loop {
        let mut last = None;
        // A line that is cut at its start is no event.
        super::listing::each_line(&mut file, length.saturating_sub(window), |line| {
            if super::listing::kind(line) == Some(kind) {
                last = Event::parse(line).ok().or(last.take());
            }
        });
        if last.is_some() || window >= length {
            return Ok(last);
        }
        window *= 8;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write;

    fn warning(text: &str) -> EventBody {
        EventBody::Warning { text: text.into() }
    }

    #[test]
    fn a_torn_tail_is_not_read_and_the_next_worker_goes_on_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        journal.append(warning("one")).unwrap();
        journal.append(warning("two")).unwrap();
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"v":1,"seq":2,"t":1.0,"type":"war"#).unwrap();
        let mut reader = Reader::new(&path);
        assert_eq!(reader.read(100, u64::MAX).unwrap().len(), 2);
        let mut journal = Journal::open(&path).unwrap();
        journal.append(warning("three")).unwrap();
        let rest = reader.read(100, u64::MAX).unwrap();
        assert_eq!(rest.len(), 1);
        assert_eq!((rest[0].seq, &rest[0].body), (2, &warning("three")));
        assert_eq!(reader.skipped, 1);
        // A line that only lacks its end is an event, and its number is taken.
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 1]).unwrap();
        Journal::open(&path).unwrap().append(warning("four")).unwrap();
        let mut reader = Reader::new(&path);
        let seqs: Vec<_> = reader.read(100, u64::MAX).unwrap().iter().map(|e| e.seq).collect();
        assert_eq!(seqs, [0, 1, 2, 3]);
    }

    #[test]
    fn a_reader_from_the_end_sees_only_what_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut reader = Reader::new(&path);
        reader.skip_to_end().unwrap();
        let mut journal = Journal::open(&path).unwrap();
        journal.append(warning("one")).unwrap();
        reader.skip_to_end().unwrap();
        journal.append(warning("two")).unwrap();
        let events = reader.read(100, u64::MAX).unwrap();
        assert_eq!(events.iter().map(|e| &e.body).collect::<Vec<_>>(), [&warning("two")]);
    }

    #[test]
    fn unknown_types_are_events_and_nonsense_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, b"{\"v\":9,\"seq\":0,\"t\":0,\"type\":\"from_the_future\",\"x\":1}\n[1,2\n\xff\xfe\n")
            .unwrap();
        let mut reader = Reader::new(&path);
        let events = reader.read(100, u64::MAX).unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].body, EventBody::Unknown);
        assert_eq!(reader.skipped, 2);
    }

    #[test]
    fn reading_is_bounded_and_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        for i in 0..50 {
            journal.append(warning(&i.to_string())).unwrap();
        }
        let mut reader = Reader::new(&path);
        let mut seqs = Vec::new();
        loop {
            let slice = reader.read(7, u64::MAX).unwrap();
            assert!(slice.len() <= 7);
            if slice.is_empty() {
                break;
            }
            seqs.extend(slice.iter().map(|e| e.seq));
        }
        assert_eq!(seqs, (0..50).collect::<Vec<_>>());
    }
    #[test]
    fn the_last_event_of_a_type_is_found_from_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        assert_eq!(last_of(&path, "warning").unwrap(), None);
        let mut journal = Journal::open(&path).unwrap();
        for text in ["one", "two"] {
            journal.append(warning(text)).unwrap();
        }
        // Further from the end than is looked at first.
        for _ in 0..3 {
            journal.append(EventBody::Finished { text: "x".repeat(LAST_WINDOW as usize) }).unwrap();
        }
        let found = last_of(&path, "warning").unwrap().unwrap();
        assert_eq!((found.seq, &found.body), (1, &warning("two")));
        assert_eq!(last_of(&path, "report").unwrap(), None);
    }
}
