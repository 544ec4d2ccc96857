//! Windows into verdicts with causes.
