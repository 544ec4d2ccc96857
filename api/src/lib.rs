//! Everything a user touches: the HTTP API, and what the command line shares with it.
//!
//! [`operations::Operations`] is the one way in: a function for each thing that can be done with a store. The binary's
//! commands, [`http::router`] and [`grpc`] say who asks and show what comes back; they know no table and no registry.

pub mod audit;
pub mod demo;
pub mod fingerprint_key;
pub mod grpc;
pub mod http;
pub mod operations;
pub mod store;
