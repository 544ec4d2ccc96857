use proptest::prelude::*;

use super::index::Bucket;
use super::*;
use crate::error::Error;
use crate::manifest::{Manifest, ManifestEntry};
use crate::merkle::place_of;
use crate::samples::{any_entries, entry};

/// How many runs are merged, the smallest memory for a run first.
const RUN_BYTES: [usize; 3] = [1, 500, 1_000_000];

fn encode(entries: &[ManifestEntry], run_bytes: usize, bucket_entries: u64) -> Result<EncodedManifest, Error> {
    let mut encoder = Encoder::new(Sizes { run_bytes, bucket_entries, ..Sizes::default() });
    entries.iter().try_for_each(|entry| encoder.push(entry))?;
    encoder.finish()
}

#[track_caller]
fn check(entries: u64, depth: u32) {
    assert_eq!(depth_of(entries, BUCKET_ENTRIES), depth);
}

#[test]
fn the_depth_follows_from_the_number_of_entries() {
    check(0, 0);
    check(512, 0);
    check(513, 1);
    check(1_024, 1);
    check(1_025, 2);
    check(1_000_000, 11);
    check(10_000_000, 15);
    check(u64::MAX, 55);
}

#[test]
fn a_bucket_is_the_first_bits_of_the_hash_of_the_id() {
    let place = place_of(&"a".parse().unwrap());
    assert_eq!(place[..2], [0x17, 0x76]);
    assert_eq!([0, 4, 8, 15].map(|depth| bucket_of(&place, depth)), [0, 0x1, 0x17, 0x1776 >> 1]);
}

#[test]
fn of_documents_that_are_named_twice_the_first_by_its_id_is_reported() {
    let entries: Vec<_> =
        ["d", "b", "c", "a", "d", "c", "c", "b", "e"].iter().map(|id| entry(id, &format!("b3:{id}"))).collect();
    for run_bytes in RUN_BYTES {
        let error = encode(&entries, run_bytes, 2).unwrap_err();
        assert_eq!(error.to_string(), "the manifest names the document b more than once");
        assert_eq!(error.to_string(), Manifest::from_entries(entries.clone()).unwrap_err().to_string());
    }
}

#[test]
fn blocks_in_each_others_place_are_refused_even_when_the_index_agrees() {
    // The hash of a begins with the bit 0, that of d with 1.
    let mut encoded = encode(&["a", "d"].map(|id| entry(id, "1")), 1_000, 1).unwrap();
    encoded.rewind().unwrap();
    let blocks = encoded.read(u64::MAX).unwrap();
    let index = encoded.index();
    assert_eq!(index.entries(0..2, &blocks).unwrap().len(), 2);
    assert_eq!(index.entries(0..2, &blocks[..blocks.len() - 1]).unwrap_err(), "it ends within a block");
    let [zero, one] = index.buckets[..] else { panic!("{index:?}") };
    let exchanged = Index::new(1, vec![Bucket { start: 0, ..one }, Bucket { start: one.bytes, ..zero }]);
    let (first, second) = blocks.split_at(usize::try_from(zero.bytes).unwrap());
    let blocks = [second, first].concat();
    assert_eq!(index.entries(0..2, &blocks).unwrap_err(), "the block of its bucket 0 was altered");
    assert_eq!(exchanged.entries(0..2, &blocks).unwrap_err(), "the block of its bucket 0 was altered");
}

proptest! {
    #[test]
    fn the_stored_form_does_not_depend_on_the_order_of_the_input_or_on_the_runs(
        (entries, shuffled) in any_entries().prop_flat_map(|e| (Just(e.clone()), Just(e).prop_shuffle())),
        bucket_entries in 1_u64..50,
    ) {
        let expected = Manifest::from_entries(entries.clone()).unwrap();
        let object = |mut encoded: EncodedManifest| {
            encoded.rewind().unwrap();
            (encoded.index().encode(), encoded.read(u64::MAX).unwrap())
        };
        let first = object(encode(&entries, 1_000_000, bucket_entries).unwrap());
        for run_bytes in RUN_BYTES {
            let encoded = encode(&shuffled, run_bytes, bucket_entries).unwrap();
            prop_assert_eq!((encoded.root(), encoded.len()), (expected.root(), expected.len() as u64));
            prop_assert_eq!(&object(encoded), &first);
            let manifest = encode(&shuffled, run_bytes, bucket_entries).unwrap().into_manifest().unwrap();
            prop_assert_eq!(&manifest, &expected);
        }
    }
}
