//! A stand-in for an OpenID provider: small, and it misbehaves on demand. The lane `oidc` has a real one.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreHmacKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey as _};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

pub const CLIENT: &str = "kizashi";
pub const SECRET: &str = "a secret / of the client";
/// Made for these tests.
const KEYS: [&str; 2] = [
    "MC4CAQAwBQYDK2VwBCIEIHIiY0Vgw0HJt1csltj85pyeZB7PrfEzYRaVedehVGRG",
    "MC4CAQAwBQYDK2VwBCIEIBzRF131sOvtl8MX0bn7e6hqT8hyf3tTrqFDZFlfbRMn",
];

/// How it signs ID tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    ByItsKey,
    /// With another key under the name of its own.
    ByAnother,
    /// `alg` is `none`, and there is no signature.
    Not,
    /// With what the client knows too.
    ByTheClientsSecret,
}

/// How it answers one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Well,
    /// 100 MB of JSON.
    Endlessly,
    ByRedirect,
    WithAFault,
    WithNonsense,
}

/// How it behaves now.
#[derive(Clone, Debug)]
pub struct Conduct {
    pub discovery: Way,
    pub token: Way,
    pub signed: Signed,
    /// Which of its keys it shows and signs with; each has a name of its own.
    pub key: usize,
    /// Put over the claims of the next ID token; null takes one out.
    pub claims: Value,
    pub userinfo: Value,
    /// Seconds since the epoch.
    pub now_s: i64,
}

#[derive(Debug)]
struct Code {
    nonce: String,
    challenge: String,
    redirect: String,
}

#[derive(Clone, Debug)]
pub struct Provider {
    pub issuer: String,
    pub conduct: Arc<Mutex<Conduct>>,
    codes: Arc<Mutex<HashMap<String, Code>>>,
    /// Requests that it answered.
    pub asked: Arc<Mutex<Vec<String>>>,
    /// Bytes that clients took of endless answers.
    pub taken: Arc<AtomicU64>,
}

impl Provider {
    pub fn start(now_s: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let conduct = Conduct {
            discovery: Way::Well,
            token: Way::Well,
            signed: Signed::ByItsKey,
            key: 0,
            claims: json!({}),
            userinfo: json!({}),
            now_s,
        };
        let provider = Self {
            issuer,
            conduct: Arc::new(Mutex::new(conduct)),
            codes: Arc::default(),
            asked: Arc::default(),
            taken: Arc::default(),
        };
        let serving = provider.clone();
        // Ends with the process: a thread of a test.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let one = serving.clone();
                thread::spawn(move || one.answer(stream));
            }
        });
        provider
    }

    pub fn behave(&self, change: impl FnOnce(&mut Conduct)) {
        change(&mut self.conduct.lock().unwrap());
    }

    /// Does what its page would do once the person has signed in: takes the request that the browser was sent with, and gives
    /// the code to come back with.
    pub fn consent(&self, sent_to: &str) -> (String, String) {
        let url = Url::parse(sent_to).unwrap();
        assert!(sent_to.starts_with(&format!("{}/authorize?", self.issuer)), "{sent_to}");
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((query["response_type"].as_str(), query["client_id"].as_str()), ("code", CLIENT));
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"), "{}", query["scope"]);
        let code = format!("code-{}", self.asked.lock().unwrap().len() + self.codes.lock().unwrap().len() + 1);
        let begun = Code {
            nonce: query["nonce"].clone(),
            challenge: query["code_challenge"].clone(),
            redirect: query["redirect_uri"].clone(),
        };
        self.codes.lock().unwrap().insert(code.clone(), begun);
        (code, query["state"].clone())
    }

    fn answer(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let header = |name: &str| {
            head.iter().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).unwrap();
        let path = head[0].split(' ').nth(1).unwrap().to_owned();
        let conduct = self.conduct.lock().unwrap().clone();
        let (way, answer) = match path.as_str() {
            "/.well-known/openid-configuration" => (conduct.discovery, Ok(self.about())),
            "/jwks" => (Way::Well, Ok(json!({ "keys": [key(conduct.key, KEYS[conduct.key]).as_verification_key()] }))),
            "/token" => (conduct.token, self.token(&conduct, header("authorization"), &body)),
            "/userinfo" => (Way::Well, Ok(conduct.userinfo)),
            _ => (Way::WithAFault, Ok(json!({}))),
        };
        self.asked.lock().unwrap().push(path);
        self.send(stream, way, &answer);
    }

    fn about(&self) -> Value {
        let at = |path: &str| format!("{}/{path}", self.issuer);
        json!({
            "issuer": self.issuer, "authorization_endpoint": at("authorize"), "token_endpoint": at("token"),
            "jwks_uri": at("jwks"), "userinfo_endpoint": at("userinfo"), "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            // It would even do without a signature: what the client believes is the client's to say.
            "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
        })
    }

    fn token(&self, conduct: &Conduct, authorization: Option<String>, body: &[u8]) -> Result<Value, Value> {
        let form: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
        let encoded: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let basic = format!("Basic {}", base64(format!("{CLIENT}:{encoded}").as_bytes(), STANDARD));
        let basic = basic.trim_end_matches('=').to_owned();
        if authorization.is_none_or(|given| given.trim_end_matches('=') != basic) {
            return Err(json!({ "error": "invalid_client" }));
        }
        let code = self.codes.lock().unwrap().remove(&form["code"]).ok_or(json!({ "error": "invalid_grant" }))?;
        let challenge = base64(&Sha256::digest(form["code_verifier"].as_bytes()), URL_SAFE);
        if challenge != code.challenge || form["redirect_uri"] != code.redirect {
            return Err(json!({ "error": "invalid_grant" }));
        }
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT, "sub": "u-1", "nonce": code.nonce,
            "iat": conduct.now_s, "exp": conduct.now_s + 300, "preferred_username": "hanako", "name": "佐藤 花子",
            "groups": ["staff", "ops"], "locale": "ja-JP",
        });
        for (name, value) in conduct.claims.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let token = json!({ "access_token": "at", "token_type": "Bearer", "expires_in": 300,
            "id_token": jwt(conduct, &claims) });
        Ok(token)
    }

    fn send(&self, mut stream: TcpStream, way: Way, answer: &Result<Value, Value>) {
        let head = |status: &str, length: usize| {
            let json = "content-type: application/json\r\nconnection: close";
            format!("HTTP/1.1 {status}\r\n{json}\r\ncontent-length: {length}\r\n\r\n")
        };
        match way {
            Way::Well => {
                let (status, body) = match answer {
                    Ok(body) => ("200 OK", body.to_string()),
                    Err(body) => ("400 Bad Request", body.to_string()),
                };
                let _ = stream.write_all((head(status, body.len()) + &body).as_bytes());
            }
            Way::Endlessly => {
                let _ = stream.write_all(head("200 OK", 100_000_000).as_bytes());
                let part = [b' '; 100_000];
                while stream.write_all(&part).is_ok()
                    && self.taken.fetch_add(part.len() as u64, Ordering::SeqCst) < 100_000_000
                {}
            }
            Way::ByRedirect => {
                let to = format!("HTTP/1.1 307 Elsewhere\r\nlocation: {}/jwks\r\nconnection: close\r\n", self.issuer);
                let _ = stream.write_all((to + "content-length: 0\r\n\r\n").as_bytes());
            }
            Way::WithAFault => {
                let _ = stream.write_all(head("500 Internal Server Error", 0).as_bytes());
            }
            Way::WithNonsense => {
                let body = "\u{0}<html>not JSON";
                let _ = stream.write_all((head("200 OK", body.len()) + body).as_bytes());
            }
        }
    }
}

fn key(number: usize, of: &str) -> CoreEdDsaPrivateSigningKey {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{of}\n-----END PRIVATE KEY-----\n");
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(format!("key-{number}")))).unwrap()
}

fn jwt(conduct: &Conduct, claims: &Value) -> String {
    let (number, algorithm) = (conduct.key, CoreJwsSigningAlgorithm::EdDsa);
    let name = match conduct.signed {
        Signed::Not => "none",
        Signed::ByTheClientsSecret => "HS256",
        Signed::ByItsKey | Signed::ByAnother => "EdDSA",
    };
    let header = json!({ "alg": name, "kid": format!("key-{number}") });
    let part = |value: &Value| base64(value.to_string().as_bytes(), URL_SAFE);
    let text = format!("{}.{}", part(&header), part(claims));
    let signature = match conduct.signed {
        Signed::Not => Vec::new(),
        Signed::ByItsKey => key(number, KEYS[number]).sign(&algorithm, text.as_bytes()).unwrap(),
        Signed::ByAnother => key(number, KEYS[1 - number]).sign(&algorithm, text.as_bytes()).unwrap(),
        Signed::ByTheClientsSecret => {
            let hmac = CoreHmacKey::new(SECRET);
            hmac.sign(&CoreJwsSigningAlgorithm::HmacSha256, text.as_bytes()).unwrap()
        }
    };
    format!("{text}.{}", base64(&signature, URL_SAFE))
}

const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Without padding.
fn base64(bytes: &[u8], letters: &[u8; 64]) -> String {
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let number = (0..3).fold(0, |sum, n| sum << 8 | u32::from(part.get(n).copied().unwrap_or(0)));
        for n in 0..=part.len() {
            text.push(char::from(letters[(number >> (18 - 6 * n)) as usize & 63]));
        }
    }
    text
}
