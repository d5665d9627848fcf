//! Which texts occur before: the same ones, and nearly the same ones.
//!
//! Two texts are nearly the same if their SimHashes differ in at most [`DISTANCE_MAX`] of 64 bits. Four bands of 16 bits
//! cannot all differ then, so that each text is compared with those that share a band with it and with no others: the
//! time grows with the number of texts, not with its square.

use std::collections::HashMap;

use crate::site::fingerprint::Fingerprint;

/// Bits in which the SimHashes of nearly equal texts differ, at most.
pub(super) const DISTANCE_MAX: u32 = 3;
/// Bands that a SimHash is cut into; one more than bits may differ, so that one of them is the same.
const BANDS: usize = DISTANCE_MAX as usize + 1;
/// Bits of a band.
const BAND_BITS: usize = 64 / BANDS;

/// Where a text occurred before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Earlier {
    /// Place of the earlier text.
    pub(super) index: usize,
    /// Bits in which the SimHashes differ; `None` if the words are the same.
    pub(super) distance: Option<u32>,
}

/// For each text, the earlier text that it repeats: the first with the same words, else the first of those that are
/// nearest. Texts without words repeat nothing.
pub(super) fn earlier(texts: &[Fingerprint]) -> Vec<Option<Earlier>> {
    let mut exact: HashMap<u64, usize> = HashMap::new();
    let mut near = Index::default();
    let mut found = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        if text.words == 0 {
            found.push(None);
        } else if let Some(first) = exact.get(&text.exact) {
            found.push(Some(Earlier { index: *first, distance: None }));
        } else {
            exact.insert(text.exact, index);
            found.push(near.nearest(text.near));
            near.add(text.near, index);
        }
    }
    found
}

/// The different SimHashes so far, each with the first text that has it.
#[derive(Default)]
struct Index {
    all: Vec<(u64, usize)>,
    by_band: HashMap<(usize, u64), Vec<usize>>,
}

impl Index {
    fn nearest(&self, near: u64) -> Option<Earlier> {
        let known = bands(near).filter_map(|band| self.by_band.get(&band)).flatten().map(|place| self.all[*place]);
        let candidates = known.map(|(other, index)| ((near ^ other).count_ones(), index));
        let (distance, index) = candidates.filter(|(distance, _)| *distance <= DISTANCE_MAX).min()?;
        Some(Earlier { index, distance: Some(distance) })
    }

    fn add(&mut self, near: u64, index: usize) {
        // Hundreds of texts may share a SimHash; comparing with the first of them says the same.
        let shares = |places: &Vec<usize>| places.iter().any(|place| self.all[*place].0 == near);
        if bands(near).next().and_then(|band| self.by_band.get(&band)).is_some_and(shares) {
            return;
        }
        let place = self.all.len();
        self.all.push((near, index));
        for band in bands(near) {
            self.by_band.entry(band).or_default().push(place);
        }
    }
}

fn bands(near: u64) -> impl Iterator<Item = (usize, u64)> {
    (0..BANDS).map(move |band| (band, near >> (band * BAND_BITS) & ((1 << BAND_BITS) - 1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by comparing everything with everything.
    fn by_comparing_all(texts: &[Fingerprint]) -> Vec<Option<Earlier>> {
        let earlier = |(index, text): (usize, &Fingerprint)| {
            let before = || texts[..index].iter().enumerate().filter(|(_, other)| other.words > 0);
            if text.words == 0 {
                return None;
            }
            if let Some((first, _)) = before().find(|(_, other)| other.exact == text.exact) {
                return Some(Earlier { index: first, distance: None });
            }
            let distances = before().map(|(other, known)| ((known.near ^ text.near).count_ones(), other));
            let (distance, index) = distances.filter(|(distance, _)| *distance <= DISTANCE_MAX).min()?;
            Some(Earlier { index, distance: Some(distance) })
        };
        texts.iter().enumerate().map(earlier).collect()
    }

    /// Few originals, each with up to five bits turned, so that near ones, equal ones and others all occur.
    fn texts() -> impl Strategy<Value = Vec<Fingerprint>> {
        let text =
            (0_u64..4, proptest::collection::vec(0_u32..64, 0..6), 0_u32..9).prop_map(|(original, turned, words)| {
                let near =
                    turned.iter().fold(original.wrapping_mul(0x9E37_79B9_7F4A_7C15), |near, bit| near ^ 1 << bit);
                // Equal words have equal SimHashes; the reverse need not be.
                Fingerprint {
                    words,
                    near,
                    exact: near.wrapping_mul(3).rotate_left(7).wrapping_add(u64::from(words % 2)),
                }
            });
        proptest::collection::vec(text, 0..60)
    }

    proptest! {
        #[test]
        fn the_bands_find_what_comparing_everything_finds(texts in texts()) {
            let texts: Vec<Fingerprint> = texts;
            prop_assert_eq!(earlier(&texts), by_comparing_all(&texts));
        }
    }

    #[test]
    fn the_nearest_of_the_earlier_texts_is_named_and_an_equal_one_before_it() {
        let text = |exact, near| Fingerprint { words: 9, exact, near };
        let found = earlier(&[text(1, 0b111), text(2, 0b001), text(3, 0b011), text(2, 0b001), text(5, 0xFF00)]);
        let near = |index, distance| Some(Earlier { index, distance: Some(distance) });
        assert_eq!(found, [None, near(0, 2), near(0, 1), Some(Earlier { index: 1, distance: None }), None]);
    }
}
