//! Which fingerprints continue others, over all that two windows span.

use futures::StreamExt;
use tidemark_lake::{Filter, Lake, Scan, Table};
use tidemark_schema::columns::Columns;

use arrow_array::Array;

use super::Versions;
use crate::aliases::Aliases;
use crate::error::Error;
use crate::selector::Window;

/// Reads the pairs of fingerprints that events of a corpus carry, from the rotations of keys; few or none in most stores.
pub async fn read_aliases(lake: &Lake, window: &Window, versions: Versions) -> Result<Aliases, Error> {
    let mut aliases = Aliases::default();
    let scan = Scan {
        table: Table::Retrievals,
        filters: vec![Filter::Corpus(window.corpus.clone()), Filter::UnderTwoKeys],
        columns: vec!["query_fingerprint", "query_fingerprint_previous"],
        version: Some(versions.retrievals),
    };
    let mut rows = lake.scan(scan).await?;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let columns = Columns::of(&batch);
        let (newer, older) = (columns.texts("query_fingerprint")?, columns.texts("query_fingerprint_previous")?);
        for row in (0..batch.num_rows()).filter(|row| older.is_valid(*row)) {
            aliases.add(newer.value(row), older.value(row));
        }
    }
    Ok(aliases)
}
