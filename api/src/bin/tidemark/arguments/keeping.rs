//! What operators type.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Format;

/// Check a policy file, or show what it allows whom
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidemark policy check policy.yaml
  tidemark policy show policy.yaml --service support --principal svc:support-bot
  tidemark --data store serve --policy policy.yaml

A policy file, every key of which can be left out:
  text: redacted                # none | redacted | full
  bounds:
    results: 100                # most documents of one retrieval
    corpora: [handbook, wiki]
    events_per_second: 500      # of each principal
  services:
    support:
      bounds: {results: 20}     # a part can only restrict
  retention:
    days: 90
    bytes: 50GiB")]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say whether a policy file can be used, and if not, why not
    Check {
        /// The policy file
        file: PathBuf,
    },
    /// Show the bounds that hold for a service and a principal
    Show {
        /// The policy file
        file: PathBuf,
        /// The service
        #[arg(long)]
        service: Option<String>,
        /// The principal
        #[arg(long)]
        principal: Option<String>,
        /// How to print them
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

/// Rotate the secret that turns query texts into fingerprints
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidemark --data store key show
  tidemark --data store key rotate             then restart the server
  tidemark --data store key forget-previous    once no comparison reaches back before the rotation

While both keys are there, events carry both fingerprints, so windows from before and after the rotation match.")]
pub(crate) struct Key {
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum KeyCommand {
    /// Show the names of the keys and where they lie; the secrets are never shown
    Show,
    /// Make a new key; the one in force becomes the previous one
    Rotate,
    /// End a rotation: events carry one fingerprint again
    ForgetPrevious,
}

/// Show what uses the disk, what happens when it fills, and what can be freed safely
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidemark --data store storage
  tidemark --data store storage --policy policy.yaml --maintain")]
pub(crate) struct Storage {
    /// Policy file whose retention holds
    #[arg(long, env = "TIDEMARK_POLICY", value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Drop, merge and sweep now what is due; a running server does so by itself
    #[arg(long)]
    pub(crate) maintain: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Check that no stored file was altered, removed or added since it was written
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidemark --data store verify
  tidemark --data store verify --head b3:9f86d081…     a head that was noted before must still be in the chain
  tidemark --data store verify --set-aside             take damaged files out of the tables, read the rest

Exit codes: 0 everything is as it was left, 1 something is not, or could not be read")]
pub(crate) struct Verify {
    /// The head of a chain, as an earlier verify printed it
    #[arg(long, value_name = "HASH")]
    pub(crate) head: Option<String>,
    /// Take altered and missing files out of the tables, so that the rest can be read; copy them before to examine them
    #[arg(long)]
    pub(crate) set_aside: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Take all events of a principal out of the store, for good
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tidemark --data store erase user:4711 --yes

Files that hold its events are rewritten, earlier versions of the tables are deleted. The chain of evidence and the audit
log keep a tombstone with a keyed hash of the name. Stop the server first, or ask it: POST /v1/erasures.")]
pub(crate) struct Erase {
    /// The principal, as events name it
    pub(crate) principal: String,
    /// Do it; without this, only what would be done is said
    #[arg(long)]
    pub(crate) yes: bool,
    /// How to print what was done
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Show what was done to the store from this machine, and in which state the collector was
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidemark --data store audit
  tidemark --data store audit --action mode --last 20")]
pub(crate) struct Audit {
    /// Only this action: mode, compaction, retention, sweep, erasure, policy, key, verify, start, stop
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// How many of the newest records
    #[arg(long, default_value_t = 50)]
    pub(crate) last: usize,
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}
