//! `tidemark corpus`

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use tidemark_collector::Compression;
use tidemark_corpus::{
    CorpusVersionRecord, DEFAULT_MAX_ENTRIES, EncodedManifest, NewVersion, Registered, encode_ndjson, read_parquet,
};
use tidemark_schema::Label;

use super::{Session, corpus_name, corpus_version, count, now, print, print_json, table};
use crate::arguments::{
    Corpus, CorpusCommand, CorpusDiff, CorpusList, CorpusRegister, CorpusShow, Format, StoreArguments,
};
use crate::failure::Failure;
use crate::progress;

pub(crate) async fn run(store: &StoreArguments, arguments: &Corpus) -> Result<ExitCode, Failure> {
    match &arguments.command {
        CorpusCommand::Register(arguments) => register(store, arguments).await?,
        CorpusCommand::List(arguments) => list(store, arguments).await?,
        CorpusCommand::Show(arguments) => show(store, arguments).await?,
        CorpusCommand::Diff(arguments) => diff(store, arguments).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn register(store: &StoreArguments, arguments: &CorpusRegister) -> Result<(), Failure> {
    let label = |text: &Option<String>, what: &str| -> Result<Option<Label>, Failure> {
        text.as_deref().map(str::parse).transpose().map_err(|error| Failure::usage(format!("the {what} {error}")))
    };
    let version = NewVersion {
        parent: arguments.parent.as_deref().map(corpus_version).transpose()?,
        embedder: label(&arguments.embedder, "embedder")?,
        index: label(&arguments.index, "index")?,
        source: arguments.source.clone(),
        creator: label(&arguments.creator, "creator")?,
        ..NewVersion::named(corpus_name(&arguments.corpus)?, corpus_version(&arguments.version)?, now())
    };
    let spinner = progress::spinner("reading the manifest");
    let path = arguments.manifest.clone();
    let manifest = tokio::task::spawn_blocking(move || read_manifest(&path)).await.map_err(Failure::of)??;
    let session = Session::of(store, "corpus")?;
    let registered = register_in(&session, version, manifest).await;
    spinner.finish_and_clear();
    print(&described(&registered?))
}

/// Registers a version in a store.
pub(super) async fn register_in(
    session: &Session,
    version: NewVersion,
    manifest: EncodedManifest,
) -> Result<Registered, Failure> {
    Ok(session.operations.register_version(&session.caller, version, manifest).await?)
}

fn described(registered: &Registered) -> String {
    let record = &registered.record;
    let done = if registered.already_registered { "was registered already" } else { "registered" };
    let mut text = format!(
        "{} {} {done}: {} documents, root {}\n",
        record.corpus,
        record.version,
        count(record.entries),
        record.root
    );
    if !registered.kept.is_empty() {
        text.push_str(&format!("  kept as they were: {}\n", registered.kept.join(", ")));
    }
    text
}

/// Reads a manifest, compressed or not, as NDJSON or Parquet. Of NDJSON only a part is in memory at a time.
pub(crate) fn read_manifest(path: &Path) -> Result<EncodedManifest, Failure> {
    let failed = |source: std::io::Error| Failure::of(format!("{} cannot be read: {source}", path.display()));
    let manifest = if path == Path::new("-") {
        encode_ndjson(BufReader::new(std::io::stdin()), DEFAULT_MAX_ENTRIES)
    } else {
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            let hint = "name the manifest in it";
            return Err(Failure::of(format!("{} is a directory, not a manifest", path.display())).hint(hint));
        }
        let mut first = Vec::new();
        Read::by_ref(&mut file).take(4).read_to_end(&mut first).map_err(failed)?;
        let file = File::open(path).map_err(failed)?;
        if first == b"PAR1" {
            read_parquet(file, DEFAULT_MAX_ENTRIES).and_then(|manifest| manifest.encode())
        } else {
            let content = Compression::of(&first).reader(file).map_err(failed)?;
            encode_ndjson(BufReader::new(content), DEFAULT_MAX_ENTRIES)
        }
    };
    manifest.map_err(|error| {
        let named = Failure::of(format!("{}: {error}", path.display()));
        match error.hint() {
            Some(hint) => named.hint(hint),
            None => named,
        }
    })
}

async fn list(store: &StoreArguments, arguments: &CorpusList) -> Result<(), Failure> {
    let corpus = arguments.corpus.as_deref().map(corpus_name).transpose()?;
    let Session { operations, caller } = Session::of(store, "corpus")?;
    let versions = operations.versions(&caller, corpus.as_ref()).await?;
    if arguments.format == Format::Json {
        return print_json(&versions);
    }
    if versions.is_empty() {
        return print("no version is registered; `tidemark corpus register --help` shows how\n");
    }
    let heading = ["corpus", "version", "parent", "documents", "embedder", "registered", "root"];
    let mut rows = vec![heading.iter().map(ToString::to_string).collect()];
    rows.extend(versions.iter().map(|record| {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let root: String = record.root.to_string().chars().take(19).collect();
        vec![
            record.corpus.to_string(),
            record.version.to_string(),
            or_none(record.parent.as_ref().map(ToString::to_string)),
            count(record.entries),
            or_none(record.embedder.as_ref().map(ToString::to_string)),
            record.created_at.to_string(),
            format!("{root}…"),
        ]
    }));
    print(&table(&rows))
}

async fn show(store: &StoreArguments, arguments: &CorpusShow) -> Result<(), Failure> {
    let (corpus, version) = (corpus_name(&arguments.corpus)?, corpus_version(&arguments.version)?);
    let Session { operations, caller } = Session::of(store, "corpus")?;
    let record = operations.version(&caller, &corpus, &version).await?;
    if arguments.format == Format::Json { print_json(&record) } else { print(&shown(&record)) }
}

fn shown(record: &CorpusVersionRecord) -> String {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let rows = [
        ("corpus", record.corpus.to_string()),
        ("version", record.version.to_string()),
        ("parent", or_none(record.parent.as_ref().map(ToString::to_string))),
        ("documents", count(record.entries)),
        ("root", record.root.to_string()),
        ("embedder", or_none(record.embedder.as_ref().map(ToString::to_string))),
        ("index", or_none(record.index.as_ref().map(ToString::to_string))),
        ("source", or_none(record.source.clone())),
        ("creator", or_none(record.creator.as_ref().map(ToString::to_string))),
        ("registered", record.created_at.to_string()),
    ];
    table(&rows.map(|(name, value)| vec![name.to_owned(), value]))
}

async fn diff(store: &StoreArguments, arguments: &CorpusDiff) -> Result<(), Failure> {
    let corpus = corpus_name(&arguments.corpus)?;
    let (before, after) = (corpus_version(&arguments.before)?, corpus_version(&arguments.after)?);
    let Session { operations, caller } = Session::of(store, "corpus")?;
    let diff = operations.diff_versions(&caller, &corpus, [&before, &after]).await?;
    let summary = diff.summary(arguments.examples);
    if arguments.format == Format::Json {
        return print_json(&summary);
    }
    let named =
        |ids: &[tidemark_schema::DocumentId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let examples = &summary.examples;
    let heading = ["change", "documents", "for instance"].map(str::to_owned).to_vec();
    let rows = [
        heading,
        vec!["added".to_owned(), count(summary.added), named(&examples.added)],
        vec!["removed".to_owned(), count(summary.removed), named(&examples.removed)],
        vec!["modified".to_owned(), count(summary.modified), named(&examples.modified)],
        vec!["unchanged".to_owned(), count(summary.unchanged), String::new()],
    ];
    let mut text = format!("{corpus}: {before} → {after}\n\n{}", table(&rows));
    for (what, number) in [("scope", summary.rescoped), ("vector", summary.revectored)] {
        if number > 0 {
            text.push_str(&format!("{} of the unchanged have another {what}\n", count(number)));
        }
    }
    print(&text)
}
