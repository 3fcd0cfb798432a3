//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding. It differs from pgwire's in what it needs
//! to know: keys from which nobody can sign in, and of several passwords any one is right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kizashi_desk::{SCRAM_ITERATIONS, SCRAM_SALT_BYTES, ScramKeys};
use ring::{digest, hmac};
use subtle::ConstantTimeEq as _;

pub const MECHANISM: &str = "SCRAM-SHA-256";
const MESSAGE_BYTES_MAX: usize = 2_000;

/// Waits for the proof.
#[derive(Debug)]
pub struct Exchange {
    header: String,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

impl Exchange {
    /// Takes the client's first message; `nonce` is the server's part.
    ///
    /// # Errors
    /// What is wrong with the message.
    pub fn begin(first: &[u8], salt: &[u8; SCRAM_SALT_BYTES], nonce: &[u8]) -> Result<Self, &'static str> {
        let first = text(first)?;
        let (binding, rest) = first.split_once(',').ok_or("it is no first message of SCRAM")?;
        if !matches!(binding, "n" | "y") {
            return Err("channel binding is not offered here");
        }
        let (name, bare) = rest.split_once(',').ok_or("it is no first message of SCRAM")?;
        if !name.is_empty() {
            return Err("to act for another user is not offered here");
        }
        let theirs = bare.split(',').find_map(|part| part.strip_prefix("r=")).ok_or("it has no nonce")?;
        if bare.starts_with("m=") || theirs.is_empty() {
            return Err("it asks for an extension, or has no nonce");
        }
        let nonce = format!("{theirs}{}", STANDARD.encode(nonce));
        let server_first = format!("r={nonce},s={},i={SCRAM_ITERATIONS}", STANDARD.encode(salt));
        Ok(Self { header: format!("{binding},,"), client_first_bare: bare.to_owned(), server_first, nonce })
    }

    pub fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Takes the client's proof: which of the passwords it is, and the server's last message. `None` when it is none.
    ///
    /// # Errors
    /// What is wrong with the message.
    pub fn finish<'k, I>(
        &self,
        last: &[u8],
        keys: &'k [(I, ScramKeys)],
    ) -> Result<Option<(&'k I, String)>, &'static str> {
        let last = text(last)?;
        let (without_proof, proof) = last.rsplit_once(",p=").ok_or("it has no proof")?;
        let proof = STANDARD.decode(proof).map_err(|_| "its proof is not base64")?;
        let mut parts = without_proof.split(',');
        let bound = parts.next().and_then(|part| part.strip_prefix("c=")).ok_or("it does not repeat the header")?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or("it has no nonce")?;
        if bound != STANDARD.encode(&self.header) || nonce != self.nonce {
            return Err("it does not belong to this exchange");
        }
        let message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        Ok(keys.iter().find(|(_, keys)| proves(keys, &proof, &message)).map(|(id, keys)| {
            let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys.server), message.as_bytes());
            (id, format!("v={}", STANDARD.encode(signature.as_ref())))
        }))
    }
}

/// ClientKey is the proof less the signature, and its digest is what is kept.
fn proves(keys: &ScramKeys, proof: &[u8], message: &str) -> bool {
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys.stored), message.as_bytes());
    if proof.len() != signature.as_ref().len() {
        return false;
    }
    let client: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
    digest::digest(&digest::SHA256, &client).as_ref().ct_eq(&keys.stored).into()
}

fn text(message: &[u8]) -> Result<&str, &'static str> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err("it is too long");
    }
    std::str::from_utf8(message).map_err(|_| "it is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";

    /// The example of RFC 7677, section 3. Its server nonce is no base64, so the exchange is put together by hand.
    fn example() -> (Exchange, ScramKeys) {
        let salt: [u8; 16] = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap().try_into().unwrap();
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned();
        let server_first = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let bare = "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned();
        let exchange = Exchange { header: "n,,".to_owned(), client_first_bare: bare, server_first, nonce };
        (exchange, ScramKeys::of("pencil", &salt))
    }

    const LAST: &str =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    #[test]
    fn the_example_of_the_standard_signs_in_with_any_of_several_passwords() {
        let (exchange, keys) = example();
        let other = ScramKeys::of("chalk", &[1; 16]);
        let both = [(1, other), (2, keys)];
        let (id, said) = exchange.finish(LAST.as_bytes(), &both).unwrap().unwrap();
        assert_eq!((*id, said.as_str()), (2, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(exchange.finish(LAST.as_bytes(), &[(1, other)]).unwrap().is_none());
        let none: [(i64, ScramKeys); 0] = [];
        assert!(exchange.finish(LAST.as_bytes(), &none).unwrap().is_none());
    }

    #[test]
    fn what_is_forged_or_of_another_exchange_is_refused() {
        let (exchange, keys) = example();
        let keys = [(1, keys)];
        assert!(exchange.finish(LAST.replace("Uwhat", "").replace("biws", "eSws").as_bytes(), &keys).is_err());
        assert!(exchange.finish(LAST.replace("k0,p", "k1,p").as_bytes(), &keys).is_err());
        assert!(exchange.finish(LAST.replace("dHzb", "dHzc").as_bytes(), &keys).unwrap().is_none());
        for broken in [&b""[..], b"c=biws", b"p=x", &[0xff; 10], &[b'a'; 5_000]] {
            assert!(exchange.finish(broken, &keys).is_err());
        }
        let begin = |first: &[u8]| Exchange::begin(first, &[0; 16], &[7; 18]);
        assert!(begin(FIRST).unwrap().server_first().starts_with("r=rOprNGfwEbeRWgbNEkqOBwcH"));
        assert_eq!(begin(b"p=tls-server-end-point,,n=,r=abc").unwrap_err(), "channel binding is not offered here");
        for broken in [&b""[..], b"n", b"n,,", b"n,,n=x", b"n,a=root,n=x,r=abc", b"n,,m=1,n=x,r=abc", b"n,,n=x,r="] {
            assert!(begin(broken).is_err());
        }
    }
}
