use std::fmt;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;

use crate::ids::Fingerprint;

/// The text of a query as fingerprints see it: NFKC, case-folded, white space collapsed and trimmed.
pub fn normalise_query(text: &str) -> String {
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    // Folding can undo the normal form (U+0345, for one), so it is restored afterwards: toNFKC(toCasefold(toNFKC(x))).
    let folded = CaseMapper::new().fold_string(&nfkc.normalize(text)).into_owned();
    nfkc.normalize(&folded).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The secret that turns query texts into fingerprints. Whoever has the table but not the key cannot test guesses.
#[derive(Clone)]
pub struct FingerprintKey([u8; 32]);

impl FingerprintKey {
    /// From 32 secret bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The fingerprint of a text: the first 128 bits of the keyed BLAKE3 hash of its normalised form.
    pub fn fingerprint(&self, text: &str) -> Fingerprint {
        let hash = blake3::keyed_hash(&self.0, normalise_query(text).as_bytes()).to_hex();
        let digits: String = hash.chars().take(32).collect();
        Fingerprint::known_good(format!("fp:{digits}"))
    }
}

/// The key in force and, while keys are rotated, the one before it. During a rotation an event carries both fingerprints,
/// so that its query matches what was recorded under either key.
#[derive(Debug, Clone)]
pub struct FingerprintKeys {
    /// What makes the fingerprint of an event.
    pub current: FingerprintKey,
    /// What makes its previous fingerprint.
    pub previous: Option<FingerprintKey>,
}

impl From<FingerprintKey> for FingerprintKeys {
    fn from(current: FingerprintKey) -> Self {
        Self { current, previous: None }
    }
}

impl FingerprintKey {
    /// A name for the key that tells nothing about it: a hash by which a store recognises its key.
    pub fn id(&self) -> String {
        let hash = blake3::derive_key("tidemark 2026-11-21 name of a fingerprint key", &self.0);
        hash.iter().take(8).fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(a: &str, b: &str, same: bool) {
        let key = FingerprintKey::new([7; 32]);
        assert_eq!(key.fingerprint(a) == key.fingerprint(b), same, "{a:?} {b:?}");
    }

    #[test]
    fn case_spacing_and_compatibility_forms_do_not_change_a_fingerprint() {
        check("How do I reset my badge", "  how do i\treset my BADGE ", true);
        check("Straße", "STRASSE", true);
        check("ﬁle", "file", true);
        check("e\u{301}te\u{301}", "été", true);
        check("reset badge", "reset my badge", false);
    }

    #[test]
    fn another_key_gives_other_fingerprints_and_debug_hides_the_key() {
        let (a, b) = (FingerprintKey::new([1; 32]), FingerprintKey::new([2; 32]));
        assert_ne!(a.fingerprint("x"), b.fingerprint("x"));
        assert_eq!(format!("{a:?}"), "FingerprintKey(secret)");
    }
}
