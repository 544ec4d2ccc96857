//! Tests of the log as its users see it.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod corruption;
mod crash;
mod files;
mod golden;
mod model;
mod support;
