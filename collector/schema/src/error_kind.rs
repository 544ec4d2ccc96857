/// What the caller of a failed operation should do about it. A new kind exists only where the caller would act
/// differently; all diagnosis is in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is wrong: change it, do not retry it.
    Invalid,
    /// The caller may not do that: ask for the right, do not retry it.
    Forbidden,
    /// The named thing does not exist: list what exists.
    NotFound,
    /// The state forbids it now: read the state, then decide.
    Conflict,
    /// Too much at once: retry after a pause.
    Busy,
    /// A dependency (disk, object store, network) does not answer: retry later, look at the dependency.
    Unavailable,
    /// Stored bytes are not what was written: run the check, restore.
    Corrupt,
    /// A defect of this program: report it.
    Internal,
}
