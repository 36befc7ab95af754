//! Bases and adapters on this machine and on the hub: which there are, what they hold, what lopper refuses of them and
//! why, and how they come here.

pub mod adapters;
pub mod cache;
pub mod card;
pub mod catalog;
pub mod choice;
pub mod client;
pub mod desk;
pub mod details;
pub mod download;
pub mod environment;
pub mod failure;
pub mod outline;
pub mod place;
pub mod push;
pub mod reference;
pub mod search;
pub mod supply;
mod walk;

pub use catalog::{
    AdapterEntry, AdapterFacts, BaseEntry, Catalog, Root, RootKind, adapter, adapters, base, bases, fits, is_base,
    of_recipe, scan,
};
pub use walk::roots;
