//! Bases and adapters on this machine: which there are, what they hold, what lopper refuses of them and
//! why. Only headers are read, never weights.

pub mod catalog;

pub use catalog::{
    AdapterEntry, AdapterFacts, BaseEntry, Catalog, Root, RootKind, adapter, adapters, base, bases, fits, roots, scan,
};
