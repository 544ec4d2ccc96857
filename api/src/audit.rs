//! What was done to a store, and in which state it was: a hash chain of lines in the state directory.
//!
//! Merges, drops, sweeps, erasures, rotations of keys, changes of policy and of the collector's mode are appended, each with
//! the hash of the line before, so that it can be told later what sustained the record and that nobody rewrote it. Several
//! processes may append: each locks the file, reads its last line, and syncs what it wrote. The file is continued in a new
//! one when it is large; the oldest of them go, and the chain says so by beginning later.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tidemark_schema::Timestamp;

/// Bytes of a file before it is continued in a new one.
const FILE_BYTES: u64 = 8 * 1024 * 1024;
/// How many full files are kept.
const FILES_KEPT: usize = 15;
/// Bytes of one line; what is longer was not written by us.
const LINE_BYTES: u64 = 64 * 1024;

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counted from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// By what: `server`, or the command.
    pub actor: String,
    /// What, such as `mode`, `compaction`, `retention`, `sweep`, `erasure`, `policy`, `key`.
    pub action: String,
    /// The particulars; never a text of a query or an answer.
    pub detail: Value,
    /// The hash of the line before; empty in the first.
    pub previous: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    hash: String,
    record: Box<RawValue>,
}

/// What an audit log holds, and whether it holds together.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Contents {
    /// All records that are kept, oldest first.
    pub records: Vec<Record>,
    /// Where the chain is broken: file, line and what is wrong.
    pub breaks: Vec<String>,
    /// The hash of the newest record.
    pub head: String,
}

/// The audit log of a store on this machine.
#[derive(Debug, Clone)]
pub struct AuditLog {
    folder: PathBuf,
    /// Holds the number and the hash of the newest record, apart from the log.
    anchor: PathBuf,
}

impl AuditLog {
    /// The log in a state directory; what its newest record is, is also kept in a directory apart from it.
    pub fn in_state(state: &Path, apart: &Path) -> Self {
        Self { folder: state.join("audit"), anchor: apart.join("audit.head") }
    }

    /// Appends a record and makes it durable.
    pub fn append(&self, at: Timestamp, actor: &str, action: &str, detail: Value) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(self.folder.join("audit.lock"))?;
        lock.lock()?;
        let path = self.current();
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path)?;
        let mut last = last_line(&mut file)?;
        if last.is_none()
            && let Some(full) = self.full_files()?.last()
        {
            last = last_line(&mut File::open(full)?)?;
        }
        let last = last.and_then(|line| serde_json::from_str::<Line>(&line).ok());
        let number = last
            .as_ref()
            .and_then(|line| serde_json::from_str::<Record>(line.record.get()).ok())
            .map_or(1, |record| record.number + 1);
        let previous = last.map(|line| line.hash).unwrap_or_default();
        let record = Record { number, at, actor: actor.to_owned(), action: action.to_owned(), detail, previous };
        let record = RawValue::from_string(serde_json::to_string(&record)?)?;
        let hash = hash_of(record.get());
        let head = format!("{number} {hash}\n");
        let mut line = serde_json::to_vec(&Line { hash, record })?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_all()?;
        self.write_anchor(&head)?;
        if file.metadata()?.len() > FILE_BYTES {
            std::fs::rename(&path, self.folder.join(format!("audit-{number:012}.ndjson")))?;
            let full = self.full_files()?;
            for old in full.iter().take(full.len().saturating_sub(FILES_KEPT)) {
                std::fs::remove_file(old)?;
            }
        }
        Ok(())
    }

    /// Reads all that is kept and checks the chain. A log that is not there is empty.
    pub fn read(&self) -> io::Result<Contents> {
        let mut contents = Contents::default();
        let mut files = self.full_files()?;
        if self.current().is_file() {
            files.push(self.current());
        }
        let (mut first, full) = (true, files.len());
        for path in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for (number, line) in BufReader::new(File::open(&path)?).split(b'\n').enumerate() {
                let place = format!("audit/{name} line {}", number + 1);
                let Ok(line) = serde_json::from_slice::<Line>(&line?) else {
                    contents.breaks.push(format!("{place} cannot be read"));
                    continue;
                };
                if hash_of(line.record.get()) != line.hash {
                    contents.breaks.push(format!("{place} was altered"));
                }
                let Ok(record) = serde_json::from_str::<Record>(line.record.get()) else {
                    contents.breaks.push(format!("{place} cannot be read"));
                    continue;
                };
                // The oldest record may follow one that is not kept, once so many files are full that the oldest went.
                let oldest_went = first && record.number > 1 && full >= FILES_KEPT;
                if !oldest_went && record.previous != contents.head {
                    contents.breaks.push(format!("{place} does not follow from the line before"));
                }
                first = false;
                contents.head = line.hash;
                contents.records.push(record);
            }
        }
        if let Some(anchor) = self.read_anchor()? {
            let newest = contents.records.last();
            let is_newest = newest.is_some_and(|record| format!("{} {}", record.number, contents.head) == anchor);
            // A crash may have come between the record and its anchor.
            let is_before = newest.is_some_and(|record| format!("{} {}", record.number - 1, record.previous) == anchor);
            if !is_newest && !is_before {
                let number = anchor.split(' ').next().unwrap_or_default();
                contents.breaks.push(format!("audit does not end with record {number}, which was the newest"));
            }
        }
        Ok(contents)
    }

    /// Written under another name first: half of a head would be taken for a missing record.
    fn write_anchor(&self, head: &str) -> io::Result<()> {
        if let Some(folder) = self.anchor.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let unfinished = self.anchor.with_extension("new");
        std::fs::write(&unfinished, head)?;
        std::fs::rename(&unfinished, &self.anchor)
    }

    fn read_anchor(&self) -> io::Result<Option<String>> {
        match std::fs::read_to_string(&self.anchor) {
            Ok(head) => Ok(Some(head.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    }

    fn current(&self) -> PathBuf {
        self.folder.join("audit.ndjson")
    }

    fn full_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        match std::fs::read_dir(&self.folder) {
            Ok(entries) => {
                for entry in entries {
                    let path = entry?.path();
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    if name.starts_with("audit-") && name.ends_with(".ndjson") {
                        files.push(path);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        files.sort();
        Ok(files)
    }
}

fn hash_of(record: &str) -> String {
    format!("b3:{}", blake3::hash(record.as_bytes()).to_hex())
}

/// The last complete line of a file. What a crash left half-written after it is cut off.
fn last_line(file: &mut File) -> io::Result<Option<String>> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(2 * LINE_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(2 * LINE_BYTES).read_to_end(&mut tail)?;
    let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else {
        if from == 0 && length > 0 {
            file.set_len(0)?;
        }
        return Ok(None);
    };
    if end + 1 < tail.len() {
        file.set_len(from + end as u64 + 1)?;
    }
    let start = tail.get(..end).and_then(|line| line.iter().rposition(|byte| *byte == b'\n')).map_or(0, |at| at + 1);
    Ok(tail.get(start..end).map(|line| String::from_utf8_lossy(line).into_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn log_with(records: usize) -> (tempfile::TempDir, AuditLog) {
        let state = tempfile::tempdir().unwrap();
        let log = AuditLog::in_state(state.path(), &state.path().join("apart"));
        for number in 0..records {
            log.append(Timestamp::MIN, "server", "sweep", json!({ "files": number })).unwrap();
        }
        (state, log)
    }

    #[test]
    fn records_are_numbered_and_chained() {
        let (_state, log) = log_with(3);
        let contents = log.read().unwrap();
        assert_eq!(contents.records.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(contents.breaks, Vec::<String>::new());
    }

    #[test]
    fn an_altered_line_and_a_missing_one_break_the_chain() {
        let (_state, log) = log_with(4);
        let text = std::fs::read_to_string(log.current()).unwrap();
        std::fs::write(log.current(), text.replacen("\"files\":1", "\"files\":7", 1)).unwrap();
        assert_eq!(log.read().unwrap().breaks, ["audit/audit.ndjson line 2 was altered"]);
        let without: Vec<&str> = text.lines().enumerate().filter(|(i, _)| *i != 2).map(|(_, line)| line).collect();
        std::fs::write(log.current(), without.join("\n") + "\n").unwrap();
        assert_eq!(log.read().unwrap().breaks, ["audit/audit.ndjson line 3 does not follow from the line before"]);
        let last: Vec<&str> = text.lines().take(3).collect();
        std::fs::write(log.current(), last.join("\n") + "\n").unwrap();
        assert_eq!(log.read().unwrap().breaks, ["audit does not end with record 4, which was the newest"]);
        let first: Vec<&str> = text.lines().skip(1).collect();
        std::fs::write(log.current(), first.join("\n") + "\n").unwrap();
        assert_eq!(log.read().unwrap().breaks, ["audit/audit.ndjson line 1 does not follow from the line before"]);
        std::fs::write(log.current(), [text.as_bytes(), b"\xff\n"].concat()).unwrap();
        assert_eq!(log.read().unwrap().breaks, ["audit/audit.ndjson line 5 cannot be read"]);
        std::fs::remove_dir_all(&log.folder).unwrap();
        assert_eq!(log.read().unwrap().breaks.len(), 1, "a log that is gone is missed");
    }

    #[test]
    fn a_line_that_a_crash_cut_short_is_cut_off() {
        let (_state, log) = log_with(2);
        let text = std::fs::read_to_string(log.current()).unwrap();
        std::fs::write(log.current(), text + "{\"hash\":\"b3:").unwrap();
        log.append(Timestamp::MIN, "server", "mode", json!({})).unwrap();
        let contents = log.read().unwrap();
        assert_eq!((contents.records.len(), contents.breaks.len()), (3, 0));
    }

    #[test]
    fn many_writers_make_one_chain() {
        let (_state, log) = log_with(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| log.append(Timestamp::MIN, "x", "y", json!(null)).unwrap()));
            }
        });
        let contents = log.read().unwrap();
        assert_eq!((contents.records.len(), contents.breaks.len()), (40, 0));
    }
}
