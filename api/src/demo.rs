//! The bundled recording: three weeks of real retrieval over the Cranfield collection, as ids, scores and hashes.
//!
//! 1,400 abstracts and 225 queries, embedded with all-MiniLM-L6-v2 and searched exactly. Week 1 ran on corpus version v1;
//! week 2 on v2, a declared update; in week 3 every vector was silently rebuilt from texts cut at 48 tokens while events
//! still declared v2 and the same embedder.

use std::io;
use std::path::{Path, PathBuf};

/// The corpus of the recording.
pub const CORPUS: &str = "cran";
/// The three weeks, as selectors.
pub const WEEKS: [&str; 3] = ["2026-10-01..2026-10-08", "2026-10-08..2026-10-15", "2026-10-15..2026-10-22"];

/// The files of the recording.
const FILES: [(&str, &[u8]); 4] = [
    ("retrievals.ndjson.gz", include_bytes!("../recording/retrievals.ndjson.gz")),
    ("outputs.ndjson.gz", include_bytes!("../recording/outputs.ndjson.gz")),
    ("manifest-v1.ndjson.gz", include_bytes!("../recording/manifest-v1.ndjson.gz")),
    ("manifest-v2.ndjson.gz", include_bytes!("../recording/manifest-v2.ndjson.gz")),
];

/// Writes the files of the recording into a directory, where they can be looked at and imported by hand.
pub fn unpack(directory: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(directory)?;
    let mut paths = Vec::new();
    for (name, content) in FILES {
        let path = directory.join(name);
        std::fs::write(&path, content)?;
        paths.push(path);
    }
    Ok(paths)
}
