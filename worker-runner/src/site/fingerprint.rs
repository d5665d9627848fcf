//! What a text is, in two numbers: a hash that equal texts share, and one that similar texts nearly share.
//!
//! The second is a SimHash (M. Charikar, "Similarity estimation techniques from rounding algorithms", 2002) of 64 bits
//! over runs of three words, as G. S. Manku et al. use it for web pages ("Detecting near-duplicates for web crawling",
//! 2007): texts whose hashes differ in at most three bits are nearly the same. The time is linear in the words, the
//! memory constant.

/// Words that are looked at together.
const SHINGLE_WORDS: usize = 3;
/// Bits of the counters: texts of up to 2^32 runs of words are counted right.
const COUNTER_BITS: usize = 32;
/// An odd number without pattern: the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Takes in a text word by word.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprinter {
    words: u32,
    exact: u64,
    /// The hashes of the last words.
    last: [u64; SHINGLE_WORDS - 1],
    /// 64 counters, upright: bit `n` of each of them is in `ones[n]`.
    ones: [u64; COUNTER_BITS],
    shingles: u64,
}

/// What a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many words it has.
    pub words: u32,
    /// Hash of the words in their order; equal texts have equal ones.
    pub exact: u64,
    /// SimHash of the words in threes; similar texts have similar ones.
    pub near: u64,
}

impl Fingerprinter {
    pub(crate) fn new() -> Self {
        Self { words: 0, exact: 0, last: [0; SHINGLE_WORDS - 1], ones: [0; COUNTER_BITS], shingles: 0 }
    }

    /// Takes in the words of a piece of text.
    pub(crate) fn text(&mut self, text: &str) {
        for word in text.split_whitespace() {
            self.word(word);
        }
    }

    fn word(&mut self, word: &str) {
        let hash = hash(word.as_bytes());
        self.words = self.words.saturating_add(1);
        self.exact = mix(self.exact.rotate_left(5) ^ hash);
        if self.words as usize >= SHINGLE_WORDS {
            let [first, second] = self.last;
            self.count(mix(first ^ mix(second ^ mix(hash))));
        }
        self.last = [self.last[1], hash];
    }

    /// Adds one to each counter whose bit is set.
    fn count(&mut self, bits: u64) {
        self.shingles += 1;
        let mut carry = bits;
        for row in &mut self.ones {
            (*row, carry) = (*row ^ carry, *row & carry);
            if carry == 0 {
                break;
            }
        }
    }

    pub(crate) fn finish(&self) -> Fingerprint {
        // A text too short for a run is one run.
        let near = if self.shingles == 0 { self.exact } else { self.majority() };
        Fingerprint { words: self.words, exact: self.exact, near }
    }

    /// The bits that more than half of the runs have.
    fn majority(&self) -> u64 {
        let count = |bit: usize| self.ones.iter().enumerate().map(|(row, ones)| (ones >> bit & 1) << row).sum::<u64>();
        (0..64).filter(|bit| count(*bit) * 2 > self.shingles).fold(0, |near, bit| near | 1 << bit)
    }
}

/// Spreads every bit over all (the finish of SplitMix64).
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// A hash that is the same on every machine and at every time, which those of the standard library do not promise.
fn hash(bytes: &[u8]) -> u64 {
    let mut value = (bytes.len() as u64).wrapping_mul(SPREAD);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        value = (value.rotate_left(23) ^ word).wrapping_mul(SPREAD);
    }
    let rest = chunks.remainder().iter().rev().fold(0, |rest, byte| rest << 8 | u64::from(*byte));
    mix((value.rotate_left(23) ^ rest).wrapping_mul(SPREAD))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Fingerprint {
        let mut made = Fingerprinter::new();
        made.text(text);
        made.finish()
    }

    fn distance(one: &str, other: &str) -> u32 {
        (of(one).near ^ of(other).near).count_ones()
    }

    fn words(from: u32, to: u32) -> String {
        (from..to).map(|word| format!("word{word} ")).collect()
    }

    #[test]
    fn equal_words_in_equal_order_have_equal_hashes_whatever_is_between_them() {
        assert_eq!(of("some  words\nhere"), of("some words here"));
        assert_ne!(of("some words here").exact, of("here words some").exact);
        assert_eq!(of(""), Fingerprint::default());
        assert_eq!(of("one two three four").words, 4);
    }

    #[test]
    fn a_small_change_moves_few_bits_and_another_text_many() {
        let text = words(0, 1_000);
        assert!(distance(&text, &text.replace("word500 ", "other ")) <= 3);
        assert!(distance(&text, &format!("{text} added")) <= 3);
        assert!(distance(&text, &words(2_000, 3_000)) > 12);
        assert!(distance("one two", "one three") > 12, "short texts are compared whole");
    }

    #[test]
    fn the_majority_of_each_bit_is_counted_right() {
        let mut made = Fingerprinter::new();
        let runs: Vec<u64> = (0..1_001_u64).map(|run| mix(run + 1)).collect();
        for run in &runs {
            made.count(*run);
        }
        for bit in 0..64 {
            let ones = runs.iter().filter(|run| *run >> bit & 1 == 1).count();
            assert_eq!(made.majority() >> bit & 1 == 1, ones * 2 > runs.len(), "bit {bit}");
        }
    }
}
