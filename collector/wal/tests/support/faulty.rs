//! A disk in memory that keeps only what it promised to keep.
//!
//! It tells written from synced bytes. A power loss keeps, per file, any prefix of what was done since its last sync,
//! the last write possibly torn, and any of the changes of names since the folder was last synced. A sync that
//! failed drops what it should have kept, as Linux does: the bytes stay readable, and no later sync makes them durable.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind};
use std::path::PathBuf;
use std::rc::Rc;

use tidemark_wal::Storage;

use super::Numbers;

/// What happens at one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation fails; a write leaves half of its bytes.
    Error(ErrorKind),
    /// The same, and the cut that would take a half-written batch back fails too.
    ErrorTwice(ErrorKind),
    /// The process is gone: the operation is done in part, all later ones fail until [`FaultyStorage::restart`].
    Crash,
}

#[derive(Clone, Debug)]
enum FileChange {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

#[derive(Clone, Debug)]
enum FolderChange {
    Create(String, usize),
    Remove(String),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<FileChange>,
}

#[derive(Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    seen: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    pending: Vec<FolderChange>,
    /// Operations so far that change the disk.
    operations: u64,
    fault: Option<(u64, Fault)>,
    capacity: Option<usize>,
    down: bool,
    writes: u64,
    syncs: u64,
    faults_met: u64,
}

/// A handle to the disk; clones share it, so the disk outlives the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyStorage {
    disk: Rc<RefCell<Disk>>,
    reads: Rc<Cell<u64>>,
}

enum Verdict {
    Do,
    DoInPart(io::Error),
}

impl Disk {
    /// Counts an operation and says how it goes.
    fn begin(&mut self) -> io::Result<Verdict> {
        if self.down {
            return Err(io::Error::other("the process is gone"));
        }
        let number = self.operations;
        self.operations += 1;
        self.faults_met += u64::from(self.fault.is_some_and(|(at, _)| at == number));
        match self.fault {
            Some((at, Fault::Error(kind) | Fault::ErrorTwice(kind))) if at == number => {
                Ok(Verdict::DoInPart(io::Error::from(kind)))
            }
            Some((at, Fault::Crash)) if at == number => {
                self.down = true;
                Ok(Verdict::DoInPart(io::Error::other("crash")))
            }
            _ => Ok(Verdict::Do),
        }
    }

    fn inode(&mut self, name: &str) -> io::Result<&mut Inode> {
        let number = *self.seen.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(&mut self.inodes[number])
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let inode = self.inode(name)?;
        let offset = inode.seen.len();
        inode.seen.extend_from_slice(bytes);
        inode.pending.push(FileChange::Write { offset, bytes: bytes.to_vec() });
        Ok(())
    }

    fn used(&self) -> usize {
        self.seen.values().map(|number| self.inodes[*number].seen.len()).sum()
    }
}

fn apply(content: &mut Vec<u8>, change: &FileChange) {
    match change {
        FileChange::SetLen(bytes) => content.truncate(*bytes),
        FileChange::Write { offset, bytes } => {
            // Bytes that a failed sync dropped are a hole once later ones are kept.
            content.resize((*offset).max(content.len()), 0);
            content.truncate(*offset);
            content.extend_from_slice(bytes);
        }
    }
}

fn apply_name(names: &mut BTreeMap<String, usize>, change: FolderChange) {
    match change {
        FolderChange::Create(name, number) => names.insert(name, number),
        FolderChange::Remove(name) => names.remove(&name),
    };
}

impl FaultyStorage {
    /// Lets the operation `after` operations from now go wrong.
    pub(crate) fn fail_after(&self, after: u64, fault: Fault) {
        let mut disk = self.disk.borrow_mut();
        disk.fault = Some((disk.operations + after, fault));
    }

    pub(crate) fn heal(&self) {
        let mut disk = self.disk.borrow_mut();
        disk.fault = None;
        disk.capacity = None;
    }

    /// Leaves room for `bytes` more.
    pub(crate) fn fill_up_to(&self, bytes: usize) {
        let mut disk = self.disk.borrow_mut();
        disk.capacity = Some(disk.used() + bytes);
    }

    pub(crate) fn is_down(&self) -> bool {
        self.disk.borrow().down
    }

    pub(crate) fn operations(&self) -> u64 {
        self.disk.borrow().operations
    }

    /// How many faults have struck, so that a test can tell that it tested something.
    pub(crate) fn faults_met(&self) -> u64 {
        self.disk.borrow().faults_met
    }

    /// Writes and syncs of files so far.
    pub(crate) fn writes_and_syncs(&self) -> (u64, u64) {
        let disk = self.disk.borrow();
        (disk.writes, disk.syncs)
    }

    /// How many files were opened for reading.
    pub(crate) fn files_read(&self) -> u64 {
        self.reads.get()
    }

    /// The machine comes back. Without a power loss (`kill -9`) everything written is still there.
    pub(crate) fn restart(&self, power_loss: Option<&mut Numbers>) {
        let mut disk = self.disk.borrow_mut();
        disk.down = false;
        disk.fault = None;
        let Some(numbers) = power_loss else { return };
        for change in std::mem::take(&mut disk.pending) {
            if numbers.up_to(1) == 1 {
                apply_name(&mut disk.durable, change);
            }
        }
        disk.seen = disk.durable.clone();
        for inode in &mut disk.inodes {
            let pending = std::mem::take(&mut inode.pending);
            let kept = numbers.up_to(pending.len());
            for change in &pending[..kept] {
                apply(&mut inode.durable, change);
            }
            if let Some(FileChange::Write { offset, bytes }) = pending.get(kept) {
                let torn = bytes[..numbers.up_to(bytes.len())].to_vec();
                apply(&mut inode.durable, &FileChange::Write { offset: *offset, bytes: torn });
            }
            inode.seen.clone_from(&inode.durable);
        }
    }

    /// A disk that holds `files` durably.
    pub(crate) fn with_files(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let storage = Self::default();
        {
            let mut disk = storage.disk.borrow_mut();
            for (number, (name, bytes)) in files.iter().enumerate() {
                disk.inodes.push(Inode { seen: bytes.clone(), durable: bytes.clone(), pending: Vec::new() });
                disk.seen.insert(name.clone(), number);
            }
            disk.durable = disk.seen.clone();
        }
        storage
    }

    /// The files as they are after a power loss that keeps nothing but what was promised.
    pub(crate) fn durable_files(&self) -> BTreeMap<String, Vec<u8>> {
        let disk = self.disk.borrow();
        disk.durable.iter().map(|(name, number)| (name.clone(), disk.inodes[*number].durable.clone())).collect()
    }

    /// The files as a reader sees them.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let disk = self.disk.borrow();
        disk.seen.iter().map(|(name, number)| (name.clone(), disk.inodes[*number].seen.clone())).collect()
    }
}

impl Storage for FaultyStorage {
    type File = Cursor<Vec<u8>>;

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.disk.borrow().seen.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.reads.set(self.reads.get() + 1);
        Ok(Cursor::new(self.disk.borrow_mut().inode(name)?.seen.clone()))
    }

    fn bytes(&self, name: &str) -> io::Result<u64> {
        Ok(self.disk.borrow_mut().inode(name)?.seen.len() as u64)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.disk.borrow_mut();
        if disk.seen.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if let Verdict::DoInPart(error) = disk.begin()? {
            return Err(error);
        }
        let number = disk.inodes.len();
        disk.inodes.push(Inode::default());
        disk.seen.insert(name.to_owned(), number);
        disk.pending.push(FolderChange::Create(name.to_owned(), number));
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk.borrow_mut();
        disk.writes += 1;
        if let Verdict::DoInPart(error) = disk.begin()? {
            disk.write(name, &bytes[..bytes.len() / 2])?;
            if let Some((_, Fault::ErrorTwice(kind))) = disk.fault {
                disk.fault = Some((disk.operations, Fault::Error(kind)));
            }
            return Err(error);
        }
        let room = disk.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(disk.used()));
        disk.write(name, &bytes[..bytes.len().min(room)])?;
        if bytes.len() > room { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn set_len(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        let mut disk = self.disk.borrow_mut();
        if let Verdict::DoInPart(error) = disk.begin()? {
            return Err(error);
        }
        let bytes = usize::try_from(bytes).unwrap();
        let inode = disk.inode(name)?;
        inode.seen.truncate(bytes);
        inode.pending.push(FileChange::SetLen(bytes));
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.disk.borrow_mut();
        disk.syncs += 1;
        let verdict = disk.begin()?;
        let down = disk.down;
        let inode = disk.inode(name)?;
        if let Verdict::DoInPart(error) = verdict {
            if !down {
                inode.pending.clear();
            }
            return Err(error);
        }
        for change in std::mem::take(&mut inode.pending) {
            apply(&mut inode.durable, &change);
        }
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let mut disk = self.disk.borrow_mut();
        if let Verdict::DoInPart(error) = disk.begin()? {
            return Err(error);
        }
        for change in std::mem::take(&mut disk.pending) {
            apply_name(&mut disk.durable, change);
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.disk.borrow_mut();
        if let Verdict::DoInPart(error) = disk.begin()? {
            return Err(error);
        }
        disk.seen.remove(name).ok_or(ErrorKind::NotFound)?;
        disk.pending.push(FolderChange::Remove(name.to_owned()));
        Ok(())
    }
}
