//! Every input that is kept, through the function that libFuzzer calls.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use tidemark_fuzz::TARGETS;

const FILES_MAX: usize = 300;
const BYTES_MAX: usize = 1024 * 1024;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_kept_input_keeps_the_invariants_of_its_target() {
    std::panic::set_hook(Box::new(tidemark_fuzz::tell));
    for (target, run) in TARGETS {
        for (path, bytes) in corpus(target) {
            let kept = std::panic::catch_unwind(|| run(&bytes)).is_ok();
            assert!(kept, "{} breaks an invariant of {target}", path.display());
        }
    }
}

#[test]
fn every_target_has_seeds_and_a_corpus_of_bounded_size() {
    for (target, _) in TARGETS {
        let inputs = corpus(target);
        let bytes: usize = inputs.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!((1..=FILES_MAX).contains(&inputs.len()), "{target}: {} files", inputs.len());
        assert!(bytes <= BYTES_MAX, "{target}: {bytes} bytes");
        assert!(inputs.iter().any(|(path, _)| path.file_name().unwrap().to_string_lossy().starts_with("seed-")));
    }
}
