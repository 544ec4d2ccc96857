//! The collector with a table and a disk that can be told to fail, in one process.

mod disk;
mod floods;
mod life;
mod model;
mod simulation;
mod start;
mod support;
mod table;

pub(crate) use support::live;
