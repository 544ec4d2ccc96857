//! What can be typed. Nothing is done here.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tidemark_schema::TenantName;

mod keeping;

pub(crate) use keeping::{Audit, Erase, Key, KeyCommand, Policy, PolicyCommand, Storage, Verify};

/// Shows what retrieval did, when it changed, and why.
#[derive(Debug, Parser)]
#[command(
    name = "tidemark",
    version,
    max_term_width = 100,
    after_help = "Examples:
  tidemark demo                                          see it work on a bundled recording
  tidemark --data store serve                            collect events on http://127.0.0.1:7700
  tidemark --data store import retrievals.ndjson.gz      or take them from files
  tidemark --data store compare --corpus handbook --reference last:14d --current last:7d

Exit codes: 0 done (compare: stable), 1 failed, 2 wrong usage, 3 drift, 4 insufficient evidence"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the store lies.
#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    /// The store: a directory, or the URL of a prefix in an object store (s3, gs, az)
    #[arg(long, global = true, env = "TIDEMARK_DATA", value_name = "DIR|URL", help_heading = "Store")]
    pub(crate) data: Option<String>,
    /// Local directory of the write-ahead log and the audit log; the store itself when that is local
    #[arg(long, global = true, env = "TIDEMARK_STATE", value_name = "DIR", help_heading = "Store")]
    pub(crate) state: Option<PathBuf>,
    /// Local directory of the fingerprint keys; beside the state directory, with `.keys` at its end, when not given
    #[arg(long, global = true, env = "TIDEMARK_KEYS", value_name = "DIR", help_heading = "Store")]
    pub(crate) keys: Option<PathBuf>,
    /// Whose data of the store is meant; the data of each tenant lies apart
    #[arg(long, global = true, env = "TIDEMARK_TENANT", value_name = "NAME", default_value_t, help_heading = "Store")]
    pub(crate) tenant: TenantName,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Serve(Serve),
    Import(Import),
    Export(Export),
    Corpus(Corpus),
    Compare(Compare),
    Diff(Diff),
    Policy(Policy),
    Key(Key),
    Storage(Storage),
    Verify(Verify),
    Erase(Erase),
    Audit(Audit),
    Doctor(Doctor),
}

/// Run the whole job on a bundled recording: import, compare, name the causes, diff one trace
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tidemark demo
  tidemark --data /tmp/demo demo

The recording: three weeks of real retrieval over the Cranfield collection (1,400 abstracts, 225 queries,
all-MiniLM-L6-v2). The store is made anew each time, in ./tidemark-demo unless --data names a place.")]
pub(crate) struct Demo {}

/// Collect events over HTTP, answer questions about them
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidemark --data store serve
  tidemark serve --data s3://bucket/tidemark --state /var/lib/tidemark --listen 127.0.0.1:7700
  tidemark --data store serve --otlp-grpc 127.0.0.1:4317 --sources sources.yaml

  curl -s http://127.0.0.1:7700/v1/retrievals -d '{\"occurred_at\":\"2026-11-18T09:30:00Z\",
    \"corpus\":\"handbook\",\"query\":{\"text\":\"how do I reset my badge\"},
    \"results\":[{\"doc_id\":\"hr/badges.md#3\",\"score\":0.83}]}'

  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:7700/v1/traces python app.py

An event that was answered with 202 is on disk: it survives kill -9 and is stored once, however often it is sent.
Routes: http://127.0.0.1:7700/openapi.json")]
pub(crate) struct Serve {
    /// Address to listen on; only loopback addresses, because there are no credentials yet
    #[arg(long, default_value = "127.0.0.1:7700", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// Address on which spans of OpenTelemetry are taken over gRPC, such as 127.0.0.1:4317; over HTTP they are taken on
    /// --listen
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) otlp_grpc: Option<SocketAddr>,
    /// File (YAML) that says where spans keep the corpus, its version and the ids of documents
    #[arg(long, env = "TIDEMARK_SOURCES", value_name = "FILE")]
    pub(crate) sources: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) policy: PolicyChoice,
    /// Longest time in seconds until an acknowledged event is in the table
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) flush_seconds: u64,
    /// Seconds between two looks at what can be dropped, merged and swept
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) maintain_seconds: u64,
    /// Bytes that stay free on the disk of the write-ahead log; below it no events are taken
    #[arg(long, default_value = "256MiB", value_name = "SIZE", value_parser = parse_size)]
    pub(crate) reserve: u64,
    /// Most bytes of the write-ahead log; beyond it events are refused until the tables take them
    #[arg(long, default_value = "1GiB", value_name = "SIZE", value_parser = parse_size)]
    pub(crate) log_budget: u64,
}

fn parse_size(text: &str) -> Result<u64, String> {
    text.parse::<tidemark_collector::policy::Bytes>().map(|bytes| bytes.0).map_err(|error| error.to_string())
}

/// What may be kept, of whom, for how long.
#[derive(Debug, Args, Clone)]
pub(crate) struct PolicyChoice {
    /// Policy file (YAML): bounds, redaction, quotas and retention; see `tidemark policy --help`
    #[arg(long, env = "TIDEMARK_POLICY", value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// What is stored of query and output texts, instead of what the policy file says; fingerprints are always stored
    #[arg(long, value_enum, env = "TIDEMARK_TEXT", value_name = "TEXTS")]
    pub(crate) text: Option<TextStored>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextStored {
    /// Nothing; this is the default
    None,
    /// Texts with e-mail addresses, phone numbers, cards, IBANs, IP addresses and API keys taken out
    Redacted,
    /// Everything
    Full,
}

/// Take events from files into the store
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidemark --data store import retrievals.ndjson.gz outputs.ndjson.gz
  zcat events.gz | tidemark --data store import -
  tidemark --data store import week.parquet
  tidemark --data store import --corpus cran --corpus-version v1 --at 2026-10-01T00:00:00Z bm25.run
  tidemark --data store import --corpus cran --format qrels qrels.txt

Kinds (retrievals, outputs), forms (NDJSON, JSON array, JSON object, Parquet, Arrow IPC, TREC run)
and compression (gzip, zstd) are recognised by content. The columns of a table are the fields of
an event, or those of an export. In a run the id of a query is its fingerprint and the tag the
retriever. Where there are judgements, comparisons say whether context became better or worse:
nDCG, recall and reciprocal rank. A bad event is refused with its line and field, and the rest
goes in; then the exit code is 1. Importing a file again adds nothing. Texts are not kept unless
--text says so; how many there were is told.")]
pub(crate) struct Import {
    /// Files of events; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The form of the files, instead of the one that their content shows
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) format: Option<ImportFormat>,
    /// Corpus that was asked; for runs and judgements of TREC, which do not say it
    #[arg(long, value_name = "CORPUS")]
    pub(crate) corpus: Option<String>,
    /// Version of that corpus
    #[arg(long, value_name = "VERSION", requires = "at")]
    pub(crate) corpus_version: Option<String>,
    /// When it was asked: a date or RFC 3339 time
    #[arg(long, value_name = "TIME", requires = "corpus")]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) policy: PolicyChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    /// NDJSON, a JSON array or one JSON object
    Json,
    /// Parquet
    Parquet,
    /// Arrow IPC, as a stream or a file
    Arrow,
    /// A run of TREC
    Trec,
    /// Qrels of TREC: which documents are relevant; they replace those that were there
    Qrels,
}

/// Write events of a window to a file or to standard output
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidemark --data store export --corpus handbook > events.ndjson
  tidemark --data store export --corpus handbook --from 2026-11-01 --to 2026-11-08 --format parquet --output week.parquet
  tidemark --data store export --kind outputs --from 2026-11-01
  tidemark --data store export --corpus cran --corpus-version v1 --format trec --output bm25.run

An export holds what the store holds: texts only where they were taken with --text redacted or
full. What is exported with texts is imported with them by import --text full.

A run of TREC is of one corpus and of one version for each query. Those who read it sort it by
score from the highest down, so distances are written negated, and a retrieval without scores gets
some from its ranks; both are told on standard error.")]
pub(crate) struct Export {
    /// Only retrievals of this corpus
    #[arg(long, value_name = "CORPUS")]
    pub(crate) corpus: Option<String>,
    /// Only retrievals of this version of the corpus
    #[arg(long, value_name = "VERSION")]
    pub(crate) corpus_version: Option<String>,
    /// Which events
    #[arg(long, value_enum, default_value_t = ExportKind::Retrievals)]
    pub(crate) kind: ExportKind,
    /// How they are written
    #[arg(long, value_enum, default_value_t = ExportFormat::Ndjson)]
    pub(crate) format: ExportFormat,
    /// The scores of a run of TREC; those of the retriever where it gave some, when not given
    #[arg(long, value_enum, value_name = "SCORES")]
    pub(crate) scores: Option<RunScores>,
    /// Only events at or after this date or RFC 3339 time
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Only events before this date or RFC 3339 time
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// The file to write; it appears when it is complete
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportKind {
    /// What retrievers returned
    Retrievals,
    /// What models answered
    Outputs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One JSON object per line, as they can be imported again
    Ndjson,
    /// One Parquet file with the columns of the table
    Parquet,
    /// An Arrow IPC stream with the columns of the table
    Arrow,
    /// A run of TREC: the newest retrieval of each query by each retriever
    Trec,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunScores {
    /// Those of the retriever; refused where one is missing, or where they do not descend with the ranks
    Given,
    /// Scores that follow the ranks, for lists that were put in another order after they were scored
    Rank,
}

/// Say what each version of a corpus held
#[derive(Debug, Args)]
pub(crate) struct Corpus {
    #[command(subcommand)]
    pub(crate) command: CorpusCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CorpusCommand {
    Register(CorpusRegister),
    List(CorpusList),
    Show(CorpusShow),
    Diff(CorpusDiff),
}

/// Register the manifest of a version: one entry per document or chunk
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tidemark --data store corpus register handbook 2026-11-18 manifest.ndjson.gz --parent 2026-11-11

A line of a manifest (NDJSON, plain or compressed, or the same columns as Parquet):
  {\"doc_id\":\"hr/badges.md#3\",\"content_hash\":\"b3:9f86d081884c7d65\",\"tokens\":118,\"scope\":\"public\"}")]
pub(crate) struct CorpusRegister {
    /// The corpus
    pub(crate) corpus: String,
    /// The name of the version, as events declare it
    pub(crate) version: String,
    /// The manifest; - is standard input
    pub(crate) manifest: PathBuf,
    /// The version it was made from
    #[arg(long)]
    pub(crate) parent: Option<String>,
    /// The model that embedded it
    #[arg(long)]
    pub(crate) embedder: Option<String>,
    /// The index that holds it
    #[arg(long)]
    pub(crate) index: Option<String>,
    /// Where it came from
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// Who made it
    #[arg(long)]
    pub(crate) creator: Option<String>,
}

/// List versions
#[derive(Debug, Args)]
pub(crate) struct CorpusList {
    /// Only of this corpus
    pub(crate) corpus: Option<String>,
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Show one version
#[derive(Debug, Args)]
pub(crate) struct CorpusShow {
    /// The corpus
    pub(crate) corpus: String,
    /// The version
    pub(crate) version: String,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Say what changed between two versions
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tidemark --data store corpus diff handbook 2026-11-11 2026-11-18 --format json")]
pub(crate) struct CorpusDiff {
    /// The corpus
    pub(crate) corpus: String,
    /// The earlier version
    pub(crate) before: String,
    /// The later version
    pub(crate) after: String,
    /// How many documents of each kind to name
    #[arg(long, default_value_t = 5)]
    pub(crate) examples: usize,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Compare two windows: did the same queries get different context, and why?
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidemark --data store compare --corpus handbook --reference version:v1 --current version:v2
  tidemark --data store compare --corpus handbook --reference 2026-11-01..2026-11-08 --current last:7d --format json
  tidemark --data store compare --corpus handbook --reference version:v1 --current version:v2 --segment locale=de --explain

Windows: version:NAME, FROM..TO (dates or RFC 3339 times, TO excluded), last:7d (s, m, h, d, w),
before:7d (the 7 days before the other window).
Exit codes: 0 stable, 3 drift or a finding of integrity, 4 insufficient evidence, for what --fail-on names.")]
pub(crate) struct Compare {
    /// The corpus
    #[arg(long)]
    pub(crate) corpus: String,
    /// The window that is compared with
    #[arg(long, value_name = "WINDOW")]
    pub(crate) reference: String,
    /// The window that is judged
    #[arg(long, value_name = "WINDOW")]
    pub(crate) current: String,
    /// Compare only the traffic with this value of a key, for instance locale=de; several must all hold
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) segment: Vec<String>,
    /// Print how each verdict came about, number by number, after the report
    #[arg(long)]
    pub(crate) explain: bool,
    /// How to print the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// Write the 30 queries that changed most with their documents into this file, to be labelled: tab-separated, with an
    /// empty column for the grade
    #[arg(long, value_name = "FILE")]
    pub(crate) queries: Option<PathBuf>,
    /// Which verdicts decide the exit code
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Dimension::Retrieval, Dimension::Scores, Dimension::Integrity])]
    pub(crate) fail_on: Vec<Dimension>,
    /// The seed of everything that is drawn: the same seed gives the same report
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For pull requests
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dimension {
    /// Rankings of the same queries
    Retrieval,
    /// Scores of unchanged documents
    Scores,
    /// What contradicts what was declared
    Integrity,
    /// What users ask
    Traffic,
    /// What the model answers
    Outputs,
}

/// Show one trace document by document, against another or what its query, else the nearest, got before
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidemark --data store diff 4bf92f3577b34da6a3ce929d0e0e4736
  tidemark --data store diff TRACE OTHER --format json
  tidemark --data store diff TRACE --reference version:v1")]
pub(crate) struct Diff {
    /// The trace (or operation) that is looked at
    pub(crate) trace: String,
    /// The one it is compared with
    #[arg(conflicts_with = "reference")]
    pub(crate) other: Option<String>,
    /// Where to look for what the query got before
    #[arg(long, value_name = "WINDOW")]
    pub(crate) reference: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Check the store and show what is in it
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_of_all_commands_fit_together() {
        Arguments::command().debug_assert();
    }
}
