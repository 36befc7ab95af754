//! Bases and adapters on this machine: which there are, what they hold, what lopper refuses of them and
//! why. Only headers are read, never weights.

pub mod card;
pub mod catalog;
mod walk;

pub use catalog::{
    AdapterEntry, AdapterFacts, BaseEntry, Catalog, Root, RootKind, adapter, adapters, base, bases, fits, of_recipe,
    scan,
};
pub use walk::roots;
