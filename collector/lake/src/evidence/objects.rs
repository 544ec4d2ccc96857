//! Where the entries lie: one object per entry, and packs of many once they are old.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::{CHECKPOINT_EVERY, Chain, Entry, Link};
use crate::error::Error;
use crate::table::{Lake, Table};

/// How many packs of [`CHECKPOINT_EVERY`] entries are kept of a table.
const PACKS_KEPT: usize = 64;

/// An object of the chain: the versions it holds, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) path: Path,
    pub(crate) bytes: u64,
}

impl Lake {
    /// Reads the chain of a table; `each` is shown every entry as it is stored, or the place of one that cannot be read. `None`
    /// if there is no chain.
    pub(crate) async fn read_chain(
        &self,
        table: Table,
        mut each: impl FnMut(&Path, Option<(&Link, &Entry)>),
    ) -> Result<Option<Chain>, Error> {
        let (store, _) = self.location.object_store()?;
        let mut chain = None;
        for piece in self.pieces(table).await? {
            let failed = |source| Error::Objects { what: piece.path.to_string(), source };
            let text = match store.get(&piece.path).await {
                Ok(found) => found.bytes().await.map_err(failed)?,
                // It was packed in the meantime; the pack was listed as well, or is read by the next look.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(failed(error)),
            };
            if text.is_empty() {
                each(&piece.path, None);
            }
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let link = serde_json::from_slice::<Link>(line).ok();
                let Some((link, entry)) = link.and_then(|link| link.read().map(|entry| (link, entry))) else {
                    each(&piece.path, None);
                    continue;
                };
                each(&piece.path, Some((&link, &entry)));
                let known: &mut Chain = chain.get_or_insert_with(Chain::empty);
                // An entry that was packed, and whose own object is still there, comes twice.
                if known.next == 0 || entry.version >= known.next {
                    known.apply(&link, &entry);
                }
            }
        }
        Ok(chain)
    }

    /// Writes an entry; `false` if one is there already.
    pub(crate) async fn write_link(&self, table: Table, chain: &mut Chain, entry: Entry) -> Result<bool, Error> {
        let (store, prefix) = self.location.object_store()?;
        let path = folder(&prefix, table).join(format!("{:020}.json", entry.version));
        let link = Link::of(&entry)?;
        let mut json = serde_json::to_vec(&link).map_err(|_| Error::Evidence { entry: path.to_string() })?;
        json.push(b'\n');
        let failed = |source| Error::Objects { what: path.to_string(), source };
        match store.put_opts(&path, json.clone().into(), PutOptions::from(PutMode::Create)).await {
            Ok(_) => {}
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                if store.head(&path).await.map_err(failed)?.size > 0 {
                    return Ok(false);
                }
                // A power failure left its name alone; it says the same when it is made again.
                store.put(&path, json.into()).await.map_err(failed)?;
            }
            Err(source) => return Err(failed(source)),
        }
        self.sync_object(&path).await;
        chain.apply(&link, &entry);
        Ok(true)
    }

    /// On a local disk a name that is there is no content yet.
    async fn sync_object(&self, path: &Path) {
        if self.location.directory().is_none() {
            return;
        }
        let file = std::path::Path::new("/").join(path.as_ref());
        let synced = tokio::task::spawn_blocking(move || std::fs::File::open(file)?.sync_all()).await;
        if !matches!(synced, Ok(Ok(()))) {
            tracing::warn!(entry = %path, "an entry of the chain of evidence could not be made durable");
        }
    }

    /// The objects of a chain in the order of their versions, packs before what they hold.
    pub(crate) async fn pieces(&self, table: Table) -> Result<Vec<Piece>, Error> {
        let (store, prefix) = self.location.object_store()?;
        let folder = folder(&prefix, table);
        let failed = |source| Error::Objects { what: folder.to_string(), source };
        let objects: Vec<_> = store.list(Some(&folder)).try_collect().await.map_err(failed)?;
        let mut pieces: Vec<Piece> = objects
            .into_iter()
            .filter_map(|object| {
                let (first, last) = versions(object.location.filename()?)?;
                Some(Piece { first, last, path: object.location, bytes: object.size })
            })
            .collect();
        pieces.sort_by(|a, b| (a.first, b.last).cmp(&(b.first, a.last)));
        Ok(pieces)
    }

    /// Packs entries that are complete up to the next one that lists all files, and drops the oldest packs. Says how many
    /// objects are gone.
    pub async fn fold_evidence(&self, table: Table) -> Result<usize, Error> {
        let (store, prefix) = self.location.object_store()?;
        let pieces = self.pieces(table).await?;
        let mut singles: BTreeMap<u64, Vec<&Piece>> = BTreeMap::new();
        for piece in pieces.iter().filter(|piece| piece.first == piece.last) {
            singles.entry(piece.first / CHECKPOINT_EVERY).or_default().push(piece);
        }
        // The two newest stretches stay as they are: another process may be about to write there.
        let newest = pieces.last().map_or(0, |piece| piece.last / CHECKPOINT_EVERY);
        let mut gone = 0;
        for (stretch, pieces) in singles.range(..newest.saturating_sub(1)) {
            let mut pack = Vec::new();
            for piece in pieces {
                let failed = |source| Error::Objects { what: piece.path.to_string(), source };
                pack.extend_from_slice(&store.get(&piece.path).await.map_err(failed)?.bytes().await.map_err(failed)?);
            }
            let first = stretch * CHECKPOINT_EVERY;
            let path = folder(&prefix, table).join(format!("{first:020}-{:020}.ndjson", first + CHECKPOINT_EVERY - 1));
            let failed = |source| Error::Objects { what: path.to_string(), source };
            store.put(&path, pack.into()).await.map_err(failed)?;
            for piece in pieces {
                store.delete(&piece.path).await.map_err(failed)?;
                gone += 1;
            }
        }
        let packs: Vec<Piece> =
            self.pieces(table).await?.into_iter().filter(|piece| piece.first != piece.last).collect();
        for old in packs.iter().take(packs.len().saturating_sub(PACKS_KEPT)) {
            let failed = |source| Error::Objects { what: old.path.to_string(), source };
            store.delete(&old.path).await.map_err(failed)?;
            gone += 1;
        }
        Ok(gone)
    }
}

/// Where the chain of a table lies.
pub(crate) fn folder(prefix: &Path, table: Table) -> Path {
    prefix.clone().join("evidence").join(table.name())
}

/// The versions that an object of this name holds.
fn versions(name: &str) -> Option<(u64, u64)> {
    if let Some(version) = name.strip_suffix(".json") {
        let version = version.parse().ok()?;
        return Some((version, version));
    }
    let (first, last) = name.strip_suffix(".ndjson")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_object_says_which_versions_it_holds() {
        assert_eq!(versions("00000000000000000041.json"), Some((41, 41)));
        assert_eq!(versions("00000000000000000000-00000000000000001023.ndjson"), Some((0, 1023)));
        assert_eq!(versions("notes.txt"), None);
    }
}
