//! The hub: a server that speaks as the real one does, what is fetched from it, the screens that show it.
#![allow(dead_code, missing_docs)]

#[path = "../../tiny/disk.rs"]
mod disk;
#[path = "../../pty/form.rs"]
mod form;
#[path = "../../hub/server.rs"]
mod hub;
#[path = "../../pty/picture.rs"]
mod picture;
#[path = "../../pty/terminal.rs"]
mod pty;
#[path = "../../tiny/shim.rs"]
mod shim;
#[path = "../../tiny/project.rs"]
mod tiny;

mod desk;
mod download;
mod hub_flow;
mod hubd;
mod room;
mod scene;
mod screen_hub;
