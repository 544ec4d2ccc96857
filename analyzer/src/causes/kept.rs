//! What a search still has, as far as its answers tell: a document that one question no longer gets and another one does was
//! not lost.

use crate::intern::{DocumentNumber, FastSet};
use crate::observe::Observed;
use crate::units::MatchedUnit;
use crate::vocabulary::Vocabulary;

/// What the answers of a window say of the documents that a search still has.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The documents that it returned to any question in the current window.
    returned: FastSet<DocumentNumber>,
    /// Whether most of what one question no longer gets is still returned to another one.
    most: bool,
}

impl Kept {
    /// Learns from the units of a stage.
    pub(crate) fn of(units: &[&MatchedUnit<'_>], vocabulary: &Vocabulary) -> Self {
        let documents = |sample: &[&Observed]| -> FastSet<DocumentNumber> {
            let places = sample.iter().flat_map(|observed| observed.places.iter());
            places.map(|place| vocabulary.state_of(place.state()).document).collect()
        };
        let returned: FastSet<DocumentNumber> = units.iter().flat_map(|unit| documents(&unit.current)).collect();
        let (mut lost, mut elsewhere) = (0_u64, 0_u64);
        for unit in units {
            let now = documents(&unit.current);
            for document in documents(&unit.reference).iter().filter(|document| !now.contains(*document)) {
                lost += 1;
                elsewhere += u64::from(returned.contains(document));
            }
        }
        Self { returned, most: 2 * elsewhere > lost }
    }

    /// Whether the search still has a document.
    pub(super) fn holds(&self, document: DocumentNumber) -> bool {
        self.most || self.returned.contains(&document)
    }
}
