//! Signals that end a command, noticed where its work can be left.

use crate::Result;
use crate::run::what_if::WhatIf;
use crate::train::what_if::Asker;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Ctrl-c was pressed, or the process told to end.
#[derive(Debug, Clone)]
pub struct Interrupted(Arc<AtomicUsize>);

impl Interrupted {
    /// Listens from now on.
    pub fn listen() -> Self {
        let caught = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            // Without it the signal simply ends this process.
            signal_hook::flag::register_usize(signal, Arc::clone(&caught), signal as usize).ok();
        }
        Self(caught)
    }

    /// Whether it was.
    pub fn is_set(&self) -> bool {
        self.signal().is_some()
    }

    /// The signal that came last.
    pub fn signal(&self) -> Option<i32> {
        i32::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|signal| *signal > 0)
    }
}

impl Asker for Interrupted {
    fn news(&mut self, _: &WhatIf) -> Result<()> {
        Ok(())
    }

    fn gives_up(&mut self) -> Result<Option<String>> {
        Ok(self.is_set().then(|| "cancelled".into()))
    }
}
