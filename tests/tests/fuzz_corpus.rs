//! Goal: no bytes from outside can panic a reader.
//! Method: the corpus of `fuzz/`, each input as it is and in a thousand mutations. The
//! coverage-guided search runs in `tests/reliability`.

use std::path::Path;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tests::fuzz::TARGETS;

const MUTATIONS: usize = 1_000;

#[test]
fn the_corpus_and_its_mutations_are_read_without_a_panic() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut inputs: Vec<Vec<u8>> =
            files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
        inputs.sort();
        assert!(inputs.len() >= 3, "{name} has {} inputs", inputs.len());
        let mut rng = SmallRng::seed_from_u64(7);
        target(b"");
        for input in &inputs {
            target(input);
            for _ in 0..MUTATIONS / inputs.len() {
                target(&mutated(input, &inputs, &mut rng));
            }
        }
    }
}

/// A few bytes changed, cut out, repeated, or taken from another input.
fn mutated(input: &[u8], others: &[Vec<u8>], rng: &mut SmallRng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.random_range(1..6) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..6) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = *b"\0\"{}[],:\n\\".get(rng.random_range(0..10)).unwrap(),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..(at + rng.random_range(1..9)).min(bytes.len()))),
            4 => {
                let piece = bytes[at..(at + 20).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let other = &others[rng.random_range(0..others.len())];
                let from = rng.random_range(0..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
        }
    }
    bytes
}
