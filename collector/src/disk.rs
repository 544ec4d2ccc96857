//! How much room there is.

use std::path::Path;

/// Bytes that this user may still write on the disk of a directory; none where that cannot be known.
pub fn free_bytes(directory: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(directory).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = directory;
        None
    }
}

/// The reserve of a disk: what was asked for, or a twentieth of a disk that is too small for it.
pub(crate) fn reserve(directory: &Path, wanted: u64) -> u64 {
    #[cfg(unix)]
    if let Ok(disk) = rustix::fs::statvfs(directory) {
        return wanted.min(disk.f_blocks.saturating_mul(disk.f_frsize) / 20);
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_room_and_a_missing_one_is_not_known() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!cfg!(unix) || free_bytes(directory.path()).is_some_and(|free| free > 0));
        assert_eq!(free_bytes(&directory.path().join("missing")), None);
        assert_eq!(reserve(directory.path(), 1), 1);
        assert!(reserve(directory.path(), u64::MAX) < u64::MAX);
    }
}
