//! The memory that all requests share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Semaphores count to 2³²: in this unit that is enough.
const UNIT: usize = 1_024;

/// The bytes that requests may hold at a time, of bodies, of what they are decompressed to and of the events in them.
/// Cloning shares them.
#[derive(Debug, Clone)]
pub struct Memory {
    permits: Arc<Semaphore>,
    bytes: usize,
}

/// A part of [`Memory`], given back when it is dropped.
#[derive(Debug)]
pub struct Room(OwnedSemaphorePermit);

/// The memory is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the requests that are being served hold too many bytes for this one")]
pub struct Full;

impl Memory {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(bytes / UNIT)), bytes }
    }

    /// How many bytes there are in all.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reserves bytes. There is no waiting for them: whoever would wait has the body on the way already.
    pub fn reserve(&self, bytes: usize) -> Result<Room, Full> {
        Arc::clone(&self.permits).try_acquire_many_owned(units(bytes)).map(Room).map_err(|_| Full)
    }
}

impl Room {
    /// How many bytes it is, rounded up.
    pub fn bytes(&self) -> usize {
        self.0.num_permits() * UNIT
    }

    /// Adds what was reserved besides.
    pub fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    /// Gives back all but so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        let excess = self.0.num_permits().saturating_sub(units(bytes) as usize);
        drop(self.0.split(excess));
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_share_one_budget_and_give_back_what_they_do_not_need() {
        let memory = Memory::new(10 * UNIT);
        let first = memory.reserve(9 * UNIT + 1).unwrap();
        assert_eq!(memory.reserve(1).unwrap_err(), Full);
        drop(first);
        let mut second = memory.reserve(10 * UNIT).unwrap();
        second.shrink(UNIT + 1);
        assert!(memory.reserve(8 * UNIT).is_ok());
        assert_eq!(memory.reserve(8 * UNIT + 1).unwrap_err(), Full);
        drop(second);
    }
}
