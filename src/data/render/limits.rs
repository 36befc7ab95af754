//! What the process that renders templates may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Address space beyond what the process has at its start, bytes: the stack for templates that nest (256 MB, taken as it
/// is used), what the allocator reserves, and room for what a template makes, ...
const SPACE: u64 = 512 << 20;
/// ... and so much for each byte of a document.
const EACH: u64 = 64;

/// Seconds of processor time for a document, and up to one more: the kernel counts whole ones.
const SECONDS: u64 = 1;

/// The limits of this process.
pub(super) struct Limits {
    /// Address space at the start, bytes; `None` where the system does not tell.
    taken: Option<u64>,
}

impl Limits {
    /// Lowers those that stay: no core file, no file written, none opened beside the three that there are.
    pub(super) fn take() -> Self {
        let taken = crate::run::memory::taken();
        for (what, most) in [(Resource::Core, 0), (Resource::Fsize, 0), (Resource::Nofile, 3)] {
            lower(what, most);
        }
        Self { taken }
    }

    /// Those of a document, whose line has so many bytes. Where one is passed, the kernel or the allocator ends the
    /// process.
    pub(super) fn renew(&self, bytes: usize) {
        if let Some(taken) = self.taken {
            lower(Resource::As, taken.saturating_add(SPACE).saturating_add(EACH.saturating_mul(bytes as u64)));
        }
        let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec.unsigned_abs();
        // Text of many megabytes takes its time.
        lower(Resource::Cpu, used + 1 + SECONDS + (bytes >> 23) as u64);
    }
}

/// Sets a limit, as far as this process's own allows; where it cannot be set, the one above holds.
fn lower(what: Resource, most: u64) {
    let maximum = getrlimit(what).maximum;
    let current = Some(maximum.map_or(most, |maximum| most.min(maximum)));
    setrlimit(what, Rlimit { current, maximum }).ok();
}
