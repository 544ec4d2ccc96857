use object_store::path::{Path, PathPart};
use tidemark_schema::{CorpusName, CorpusVersion};

use crate::merkle::MerkleRoot;
use crate::version::ManifestFormat;

/// The longest encoded name that stands in a path. File systems allow 255 bytes per part; `.json` and the suffix of a
/// temporary file need some.
const MAX_PART_BYTES: usize = 200;

/// Where objects lie. Records and manifests have directories of their own, so a corpus may have any name.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    prefix: Path,
}

impl Layout {
    pub(super) fn new(prefix: Path) -> Self {
        Self { prefix }
    }

    /// The directory with one directory per corpus.
    pub(super) fn corpora(&self) -> Path {
        self.prefix.clone().join("versions")
    }

    /// The directory with one record per version.
    pub(super) fn versions(&self, corpus: &CorpusName) -> Path {
        self.corpora().join(part(corpus.as_str()))
    }

    pub(super) fn record(&self, corpus: &CorpusName, version: &CorpusVersion) -> Path {
        let name = format!("{}.json", part(version.as_str()));
        self.versions(corpus).join(name)
    }

    pub(super) fn manifest(&self, root: MerkleRoot, format: ManifestFormat) -> Path {
        let extension = match format {
            ManifestFormat::Parquet => "parquet",
            ManifestFormat::Buckets => "buckets",
        };
        let name = format!("{}.{extension}", root.to_hex());
        self.prefix.clone().join("manifests").join(name)
    }

    pub(super) fn judgements(&self, corpus: &CorpusName) -> Path {
        let name = format!("{}.json", part(corpus.as_str()));
        self.prefix.clone().join("judgements").join(name)
    }

    pub(super) fn is_record(path: &Path) -> bool {
        path.extension() == Some("json")
    }

    /// The name that a path part stands for; `None` for a name that was too long and is known by its hash only.
    pub(super) fn name_of(part: &str) -> Option<String> {
        let part = part.strip_suffix(".json").unwrap_or(part);
        // Decodes, and refuses the empty parts that mark a hash.
        Path::from_url_path(part).ok().map(String::from)
    }
}

/// The text that `Path::join` then percent-encodes to one part, slashes included.
///
/// A name may have 200 bytes, which are 600 when each is encoded; such a name is hashed. Two slashes keep the hash from
/// being the name of something else, because names have no empty part between slashes.
fn part(name: &str) -> String {
    if PathPart::from(name).as_ref().len() <= MAX_PART_BYTES {
        name.to_owned()
    } else {
        format!("//{}", blake3::hash(name.as_bytes()).to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(corpus: &str, version: &str, expected: &str) {
        let layout = Layout::new(Path::from("store/corpora"));
        let path = layout.record(&corpus.parse().unwrap(), &version.parse().unwrap());
        assert_eq!(path.as_ref(), format!("store/corpora/versions/{expected}"));
        assert_eq!(path, Path::parse(path.as_ref()).unwrap());
        let parts: Vec<_> = path.parts().skip(3).map(|part| Layout::name_of(part.as_ref())).collect();
        let known = |name: &str| (part(name) == name).then(|| name.to_owned());
        assert_eq!(parts, [known(corpus), known(version)]);
    }

    #[test]
    fn a_name_is_one_part_whatever_it_holds_and_is_found_in_it_again() {
        check("handbook", "2026-11-18", "handbook/2026-11-18.json");
        check("manifests", "versions.json", "manifests/versions.json.json");
        check("team/hand book", "100%25", "team%2Fhand book/100%2525.json");
        check("Gäste", "..v", "G%C3%A4ste/..v.json");
        check(
            &"漢".repeat(66),
            &"~".repeat(66),
            &format!("%2F%2F{}/{}.json", blake3::hash("漢".repeat(66).as_bytes()).to_hex(), "%7E".repeat(66)),
        );
    }
}
