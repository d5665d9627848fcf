//! Tokens with which an external worker delivers a result later. A token is good for one attempt; it needs no expiry
//! of its own, because a closed attempt accepts no result.

use hermes_core::wire::JobId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Makes and checks tokens: HMAC-SHA-256 (RFC 2104) over the job id, with a key that all dispatchers of a store share.
pub struct CallbackSigner {
    /// The key, taken in already.
    keyed: Hmac<Sha256>,
}

impl CallbackSigner {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { keyed: Hmac::new_from_slice(&key).expect("HMAC takes a key of any length") }
    }

    /// The token for an attempt: 64 hexadecimal digits.
    #[must_use]
    pub fn token(&self, job: &JobId) -> String {
        hex::encode(self.mac(job).finalize().into_bytes())
    }

    /// Whether `token` is the one for this attempt; takes the same time wherever it differs.
    #[must_use]
    pub fn verify(&self, job: &JobId, token: &str) -> bool {
        hex::decode(token).is_ok_and(|bytes| self.mac(job).verify_slice(&bytes).is_ok())
    }

    fn mac(&self, job: &JobId) -> Hmac<Sha256> {
        self.keyed.clone().chain_update(job.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(attempt: u32) -> JobId {
        let run_id = "00000000000000000000000000000001".parse().expect("valid");
        JobId { run_id, service: "technical-seo".parse().expect("valid"), attempt }
    }

    #[test]
    fn a_token_opens_its_own_attempt_only() {
        let signer = CallbackSigner::new([7; 32]);
        let token = signer.token(&job(1));
        assert!(signer.verify(&job(1), &token));
        assert!(!signer.verify(&job(2), &token));
        assert!(!CallbackSigner::new([8; 32]).verify(&job(1), &token));
    }

    #[test]
    fn rubbish_is_no_token() {
        let signer = CallbackSigner::new([7; 32]);
        let token = signer.token(&job(1));
        for rubbish in ["", "zz", &token[..62], &format!("{token}00")] {
            assert!(!signer.verify(&job(1), rubbish), "{rubbish}");
        }
    }
}
