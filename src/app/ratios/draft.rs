//! The ratios that are being edited, and every step on the way, forth and back.

/// Ratios of single matrices that differ from the run's, with their history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// By matrix: the ratio wanted, where it is another than the run's.
    edits: Vec<Option<f64>>,
    done: Vec<Edit>,
    undone: Vec<Edit>,
}

/// One edit: matrix, its ratio before and after.
type Edit = Vec<(usize, f64, f64)>;

impl Draft {
    /// The ratio that a matrix is to have, `None` where it keeps the run's.
    pub fn get(&self, at: usize) -> Option<f64> {
        self.edits.get(at).copied().flatten()
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.edits.iter().all(Option::is_none)
    }

    /// The matrices that would change, with their ratios.
    pub fn changes(&self) -> impl Iterator<Item = (usize, f64)> {
        self.edits.iter().enumerate().filter_map(|(at, ratio)| Some((at, (*ratio)?)))
    }

    /// Gives matrices new ratios, over the run's `base`; how many changed.
    pub fn set(&mut self, wanted: &[(usize, f64)], base: impl Fn(usize) -> Option<f64>) -> usize {
        let mut edit = Edit::new();
        for &(at, ratio) in wanted {
            let Some(own) = base(at) else { continue };
            let before = self.get(at).unwrap_or(own);
            if before != ratio {
                edit.push((at, before, ratio));
                self.put(at, ratio, own);
            }
        }
        let changed = edit.len();
        if changed > 0 {
            self.done.push(edit);
            self.undone.clear();
        }
        changed
    }

    fn put(&mut self, at: usize, ratio: f64, own: f64) {
        if self.edits.len() <= at {
            self.edits.resize(at + 1, None);
        }
        self.edits[at] = (ratio != own).then_some(ratio);
    }

    /// Takes the last edit back; how many matrices it was of, `None` if there is none.
    pub fn undo(&mut self, base: impl Fn(usize) -> Option<f64>) -> Option<usize> {
        let edit = self.done.pop()?;
        for &(at, before, _) in edit.iter().rev() {
            if let Some(own) = base(at) {
                self.put(at, before, own);
            }
        }
        self.undone.push(edit);
        self.undone.last().map(Vec::len)
    }

    /// Makes the edit again that was taken back last.
    pub fn redo(&mut self, base: impl Fn(usize) -> Option<f64>) -> Option<usize> {
        let edit = self.undone.pop()?;
        for &(at, _, after) in &edit {
            if let Some(own) = base(at) {
                self.put(at, after, own);
            }
        }
        self.done.push(edit);
        self.done.last().map(Vec::len)
    }

    /// The run has the ratios now, or is about to: the history stays, so that undo goes back behind it.
    pub fn clear(&mut self) {
        self.edits.clear();
    }

    /// What was cleared comes back, but for what was edited since.
    pub fn put_back(&mut self, ratios: &[(usize, f64)], base: impl Fn(usize) -> Option<f64>) {
        for &(at, ratio) in ratios {
            if let Some(own) = base(at).filter(|_| self.get(at).is_none()) {
                self.put(at, ratio, own);
            }
        }
    }

    /// The run's ratios are others than before: what agrees with them is no edit any more.
    pub fn settle(&mut self, base: impl Fn(usize) -> Option<f64>) {
        for (at, edit) in self.edits.iter_mut().enumerate() {
            if edit.is_some() && *edit == base(at) {
                *edit = None;
            }
        }
    }
}
