//! Records of the log that this version cannot read, such as those of a newer one, are kept beside it.

use std::path::Path;

/// How many are kept at most.
const FILES: usize = 1_000;

/// Keeps a record aside; what cannot be kept is told.
pub(crate) fn keep(directory: &Path, sequence: u64, payload: &[u8]) {
    let kept = std::fs::read_dir(directory).map(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("unreadable-")).count()
    });
    let written = match kept {
        Ok(kept) if kept >= FILES => Err(std::io::Error::other(format!("{FILES} are kept already"))),
        Ok(_) => std::fs::write(directory.join(format!("unreadable-{sequence:020}.json")), payload),
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        tracing::error!(%error, sequence, "a record that cannot be read could not be kept aside and is lost");
    }
}
