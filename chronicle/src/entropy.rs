//! Randomness, passed in by the composition root.

/// A source of random bytes fit for keys.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`; a source that fails must panic, never return weak bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// A reproducible source for tests: SHA-256 over a seed and a counter.
#[cfg(test)]
pub(crate) struct Seeded(std::sync::Mutex<(u64, u64)>);

#[cfg(test)]
impl Seeded {
    pub(crate) fn from(seed: u64) -> std::sync::Arc<dyn Entropy> {
        std::sync::Arc::new(Self(std::sync::Mutex::new((seed, 0))))
    }
}

#[cfg(test)]
impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        use sha2::{Digest, Sha256};
        let mut state = self.0.lock().expect("no test panics while it draws");
        for chunk in bytes.chunks_mut(32) {
            state.1 += 1;
            let block = Sha256::digest([state.0.to_be_bytes(), state.1.to_be_bytes()].concat());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}
