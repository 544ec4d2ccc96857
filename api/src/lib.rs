//! Everything a user touches: the HTTP API, and what the command line shares with it.
//!
//! [`wire::Store`] is where the parts are put together: the tables, the registry of corpus versions and the secret that
//! makes fingerprints. [`http::router`] serves a running [`tidemark_collector::Collector`] and a store; the binary's
//! commands use the store directly.

pub mod audit;
pub mod demo;
pub mod erasure;
pub mod export;
pub mod fingerprint_key;
pub mod grpc;
pub mod http;
pub mod import;
pub mod maintenance;
pub mod storage;
pub mod verification;
pub mod wire;
