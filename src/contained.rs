//! Work on data from outside by libraries that may panic over it, or go deeper than a stack is: what goes wrong stays
//! within.

use crate::{Error, Result};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo};

/// Stack of work that goes as deep as its data, bytes. It is reserved, and taken as it is used.
const STACK: usize = 256 << 20;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread has such a stack.
    static DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`; `None` where it panics. Nothing of the panic is shown.
pub fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = QUIET.replace(true);
    let done = std::panic::catch_unwind(AssertUnwindSafe(work)).ok();
    QUIET.set(before);
    done
}

/// Whether a panic on this thread is one that nobody has to hear of.
pub fn is_quiet() -> bool {
    QUIET.get()
}

/// As [`contained`], with a stack for data that nests deeply.
///
/// # Errors
/// When there is no memory for that stack.
pub fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> Result<Option<T>> {
    if DEEP.get() {
        return Ok(contained(work));
    }
    std::thread::scope(|scope| {
        let work = || {
            DEEP.set(true);
            contained(work)
        };
        let thread = std::thread::Builder::new().name("deep".into()).stack_size(STACK);
        let thread = thread.spawn_scoped(scope, work).map_err(|e| {
            Error::fault(format!("there is no memory for a thread with a stack of {} MB: {e}", STACK >> 20))
        })?;
        Ok(thread.join().ok().flatten())
    })
}

/// Puts a look at [`contained`] before the hook for panics that is there.
pub fn quieten() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        if !is_quiet() {
            hook(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::panic)]
    fn a_panic_stays_within_and_the_next_work_is_done() {
        assert_eq!(contained(|| -> i32 { panic!("within") }), None);
        assert_eq!(contained(|| contained(|| 1)), Some(Some(1)));
        assert_eq!(deep(|| -> i32 { panic!("within") }), Ok(None));
        // Within deep work there is a deep stack already.
        let outer = deep(|| (std::thread::current().id(), deep(|| std::thread::current().id())));
        assert!(matches!(outer, Ok(Some((outer, Ok(Some(inner))))) if outer == inner));
        assert!(!QUIET.get());
    }
}
