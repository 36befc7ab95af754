//! What goes to the terminal: a frame is collected, measured and written in one piece, and nothing is written
//! where nothing changes.

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

/// Begins an update that the terminal shows when it is complete (mode 2026).
const BEGIN: &[u8] = b"\x1b[?2026h";
/// Ends it.
pub const END: &[u8] = b"\x1b[?2026l";

/// The frame under way: the encoder writes, the wire takes.
#[derive(Debug, Clone, Default)]
struct Collected(Rc<RefCell<Vec<u8>>>);

impl Write for Collected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was written so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Frames that changed something.
    pub frames: u64,
    /// Bytes of the last of them.
    pub last: u64,
    /// Bytes of all.
    pub total: u64,
}

/// A backend that writes whole frames to `sink`.
#[derive(Debug)]
pub struct Wire<W: Write> {
    encoder: CrosstermBackend<Collected>,
    frame: Collected,
    sink: W,
    size: Option<Size>,
    sync: bool,
    shown: Option<bool>,
    cursor: Option<Position>,
    written: Written,
}

impl<W: Write> Wire<W> {
    /// Writes to `sink`; of `size` columns and rows, or as large as the terminal is.
    pub fn new(sink: W, size: Option<(u16, u16)>) -> Self {
        let frame = Collected::default();
        Self {
            encoder: CrosstermBackend::new(frame.clone()),
            frame,
            sink,
            size: size.map(Size::from),
            sync: false,
            shown: None,
            cursor: None,
            written: Written::default(),
        }
    }

    /// Whether frames are sent as synchronised updates.
    pub fn synchronise(&mut self, sync: bool) {
        self.sync = sync;
    }

    /// What was written so far.
    pub fn written(&self) -> Written {
        self.written
    }

    /// Somebody else has used the terminal: where its cursor is, and whether it shows, is not known.
    pub fn forget(&mut self) {
        (self.shown, self.cursor) = (None, None);
    }

    /// Where it all goes.
    pub fn sink(&self) -> &W {
        &self.sink
    }
}

impl<W: Write> Backend for Wire<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        // The encoder resets its colours even after no cell at all.
        let mut content = content.peekable();
        if content.peek().is_none() {
            return Ok(());
        }
        self.cursor = None;
        self.encoder.draw(content)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if self.shown.replace(false) == Some(false) {
            return Ok(());
        }
        self.encoder.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if self.shown.replace(true) == Some(true) {
            return Ok(());
        }
        self.encoder.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.encoder.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let position = position.into();
        if self.cursor.replace(position) == Some(position) {
            return Ok(());
        }
        self.encoder.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.encoder.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.encoder.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        self.size.map_or_else(|| self.encoder.size(), Ok)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.encoder.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        let frame = self.frame.0.take();
        if frame.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(frame.len() + BEGIN.len() + END.len());
        if self.sync {
            bytes.extend_from_slice(BEGIN);
        }
        bytes.extend_from_slice(&frame);
        if self.sync {
            bytes.extend_from_slice(END);
        }
        let last = bytes.len() as u64;
        self.written = Written { frames: self.written.frames + 1, last, total: self.written.total + last };
        self.sink.write_all(&bytes)?;
        self.sink.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ratatui::Terminal;

    fn draw(terminal: &mut Terminal<Wire<Vec<u8>>>, text: &str, cursor: Option<(u16, u16)>) -> Vec<u8> {
        let before = terminal.backend().sink().len();
        terminal
            .draw(|frame| {
                frame.render_widget(text, frame.area());
                if let Some(cursor) = cursor {
                    frame.set_cursor_position(cursor);
                }
            })
            .unwrap();
        terminal.backend().sink()[before..].to_vec()
    }

    #[test]
    fn nothing_is_written_where_nothing_changes() {
        let mut terminal = Terminal::new(Wire::new(Vec::new(), Some((20, 3)))).unwrap();
        assert!(String::from_utf8(draw(&mut terminal, "one", None)).unwrap().contains("one"));
        assert_eq!(draw(&mut terminal, "one", None), b"");
        assert!(!draw(&mut terminal, "one", Some((3, 0))).is_empty());
        assert_eq!(draw(&mut terminal, "one", Some((3, 0))), b"");
        // After letters the cursor stands elsewhere.
        assert!(String::from_utf8(draw(&mut terminal, "two", Some((3, 0)))).unwrap().ends_with("\x1b[1;4H"));
        assert_eq!(terminal.backend().written().frames, 3);
    }

    #[test]
    fn an_update_that_begins_ends() {
        let mut wire = Wire::new(Vec::new(), Some((20, 3)));
        wire.synchronise(true);
        let mut terminal = Terminal::new(wire).unwrap();
        let bytes = draw(&mut terminal, "one", None);
        assert!(bytes.starts_with(BEGIN) && bytes.ends_with(END));
        assert_eq!(terminal.backend().written().last, bytes.len() as u64);
        assert_eq!(draw(&mut terminal, "one", None), b"");
    }
}
