//! A folder in memory that never fails: what a log writes is there when it is opened again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind};
use std::path::PathBuf;
use std::rc::Rc;

use tidemark_wal::{Options, Recovery, Storage, Wal};

/// The content of a folder.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// What a log holds: numbers and payloads.
pub(crate) type Records = Vec<(u64, Vec<u8>)>;

/// A handle to the folder; clones share it, so it outlives the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Rc<RefCell<Files>>);

impl Disk {
    pub(crate) fn with(files: &Files) -> Self {
        Self(Rc::new(RefCell::new(files.clone())))
    }

    pub(crate) fn files(&self) -> Files {
        self.0.borrow().clone()
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        self.0.borrow_mut().get_mut(name).map(change).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Storage for Disk {
    type File = Cursor<Vec<u8>>;

    fn path(&self, name: &str) -> PathBuf {
        name.into()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.change(name, |content| Cursor::new(content.clone()))
    }

    fn bytes(&self, name: &str) -> io::Result<u64> {
        self.change(name, |content| content.len() as u64)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let taken = self.0.borrow_mut().insert(name.to_owned(), Vec::new()).is_some();
        if taken { Err(ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.change(name, |content| content.extend_from_slice(bytes))
    }

    fn set_len(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.change(name, |content| content.truncate(usize::try_from(bytes).unwrap()))
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.change(name, |_| ())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.borrow_mut().remove(name).map(|_| ()).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

/// Everything that a log gives from its beginning, once it was checked against what opening said: the numbers ascend, and
/// each one between the first and the next is either read or told as missing.
pub(crate) fn read_all(wal: &Wal<Disk>, recovery: &Recovery) -> Records {
    let mut reader = wal.read_from(wal.first_sequence()).unwrap();
    let mut records = Records::new();
    for record in reader.by_ref() {
        let record = record.unwrap();
        records.push((record.sequence.get(), record.payload));
    }
    let (first, next) = (wal.first_sequence().get(), wal.next_sequence().get());
    assert!(records.array_windows().all(|[a, b]| a.0 < b.0), "numbers ascend");
    assert!(records.iter().all(|(number, _)| (first..next).contains(number)), "numbers lie inside of the log");
    assert_eq!(reader.damage().sequences_missing() + records.len() as u64, next - first, "what is missing is told");
    // Opening tells damaged headers of segments as well; a reader tells what it steps over.
    assert_eq!(recovery.damage.sequences_missing(), reader.damage().sequences_missing());
    assert!(reader.damage().regions() <= recovery.damage.regions());
    records
}

/// The log goes on after whatever was found in it: it can be opened twice, takes a record, and gives it back.
pub(crate) fn check_usable(disk: &Disk, options: Options, before: &Records, found: &Recovery) {
    let (wal, again) = Wal::open(disk.clone(), options).unwrap();
    assert_eq!(&read_all(&wal, &again), before, "opening twice gives the same");
    assert_eq!(again.torn_tail, None, "the tail was mended the first time");
    assert_eq!(again.damage, found.damage, "damage stays and is told again");
    assert_eq!((again.records, again.next_sequence), (found.records, found.next_sequence));

    let mut wal = wal;
    let Ok(numbers) = wal.append(&[&b"one more"[..], b""]) else {
        // The numbers have run out.
        assert!(found.next_sequence.checked_add(2).is_none());
        return;
    };
    assert_eq!(numbers.start, found.next_sequence);
    assert_eq!(wal.sync().unwrap(), numbers.end);
    let mut expected = before.clone();
    expected.push((numbers.start.get(), b"one more".to_vec()));
    expected.push((numbers.start.get() + 1, Vec::new()));
    assert_eq!(read_all(&wal, &again), expected);
    drop(wal);

    let (mut wal, last) = Wal::open(disk.clone(), options).unwrap();
    assert_eq!(read_all(&wal, &last), expected, "what was appended is there");
    // A reader in the middle sees what one from the beginning sees, from there on.
    let middle = expected.get(expected.len() / 2).map(|(number, _)| *number).unwrap();
    let from = tidemark_wal::Sequence::try_from(middle).unwrap();
    let rest: Records =
        wal.read_from(from).unwrap().map(|record| record.map(|r| (r.sequence.get(), r.payload)).unwrap()).collect();
    assert!(expected.ends_with(&rest) && rest.len() == expected.len() - expected.len() / 2);
    wal.truncate_before(from).unwrap();
    let kept: Records =
        wal.read_from(from).unwrap().map(|record| record.map(|r| (r.sequence.get(), r.payload)).unwrap()).collect();
    assert_eq!(kept, rest, "only what was given up goes");
    let bytes: usize = disk.files().values().map(Vec::len).sum();
    assert_eq!(wal.bytes(), bytes as u64, "the log knows what it takes on the disk");
}
