//! Starts, asks and stops one product.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::until;

pub const BINARY: &str = env!("CARGO_BIN_EXE_kizashi");
pub const TOKEN: &str = "a-token-for-the-tests-0123456789";
const START: Duration = Duration::from_secs(60);

/// What a scenario wants to differ from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Lines of kizashi.toml.
    pub toml: String,
    /// More environment.
    pub env: Vec<(String, String)>,
}

impl Settings {
    /// Nothing but what `toml` says: this host is not watched.
    pub fn quiet(toml: &str) -> Self {
        Self { toml: format!("{toml}\n[host]\nenabled = false\n"), env: Vec::new() }
    }
}

/// Asks a product, whoever started it.
#[derive(Clone)]
pub struct Asker {
    pub url: String,
    agent: ureq::Agent,
}

pub struct Product {
    pub home: PathBuf,
    asker: Asker,
    child: Child,
    output: Arc<Mutex<String>>,
}

impl std::ops::Deref for Product {
    type Target = Asker;

    fn deref(&self) -> &Asker {
        &self.asker
    }
}

impl Asker {
    pub fn get(&self, path: &str) -> Result<Value, String> {
        let answer =
            self.agent.get(format!("{}{path}", self.url)).header("authorization", format!("Bearer {TOKEN}")).call();
        json_of(answer)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let answer = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {TOKEN}"))
            .send_json(body);
        json_of(answer)
    }

    /// The body of an answer as it comes.
    pub fn stream(&self, path: &str) -> Result<impl std::io::Read + Send + 'static, String> {
        self.stream_after(path, "")
    }

    /// The same for events after the one with this id.
    pub fn stream_after(&self, path: &str, id: &str) -> Result<impl std::io::Read + Send + 'static, String> {
        let request = self.agent.get(format!("{}{path}", self.url)).header("authorization", format!("Bearer {TOKEN}"));
        let answer = request.header("last-event-id", id).call().map_err(|e| e.to_string())?;
        if answer.status().is_success() {
            Ok(answer.into_body().into_reader())
        } else {
            Err(answer.status().to_string())
        }
    }

    /// Rows of a statement, as JSON objects.
    pub fn sql(&self, statement: &str) -> Result<Vec<Value>, String> {
        match self.post("/api/v1/sql", &json!({"sql": statement, "format": "json"}))? {
            Value::Array(rows) => Ok(rows),
            other => Err(format!("not rows: {other}")),
        }
    }

    pub fn tickets(&self, query: &str) -> Result<Vec<Value>, String> {
        let page = self.get(&format!("/api/v1/tickets?limit=1000&{query}"))?;
        page["items"].as_array().cloned().ok_or_else(|| page.to_string())
    }
}

impl Product {
    /// Starts in `home` and waits until it is ready.
    pub fn start(home: &Path, settings: &Settings) -> Self {
        let product = Self::launch(home, settings);
        until("the product is ready", START, || product.get("/readyz").map(|_| ()));
        product
    }

    /// Starts and waits until it can be asked, ready or not.
    pub fn launch(home: &Path, settings: &Settings) -> Self {
        std::fs::write(home.join("kizashi.toml"), &settings.toml).unwrap();
        let mut child = Command::new(BINARY)
            .args(["up", "--listen", "127.0.0.1:0"])
            .current_dir(home)
            .env("KIZASHI_ADMIN_TOKEN", TOKEN)
            .env("NO_COLOR", "1")
            .envs(settings.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        for stream in [
            Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ] {
            let output = output.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut kept = output.lock().unwrap();
                    kept.push_str(&line);
                    kept.push('\n');
                }
            });
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            // Some products of these tests speak HTTPS with a certificate of their own; a test about that trusts it by name.
            .tls_config(ureq::tls::TlsConfig::builder().disable_verification(true).build())
            .build()
            .new_agent();
        let said = || output.lock().unwrap().clone();
        let url = until("the product says where it listens", START, || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the product ended with {status}:\n{}", said());
            }
            let text = said();
            let at = text.lines().find_map(|l| l.trim_start().strip_prefix("portal ")).ok_or(text.clone())?;
            Ok(at.trim().trim_end_matches('/').to_owned())
        });
        Self { home: home.to_path_buf(), asker: Asker { url, agent }, child, output }
    }

    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    pub fn said(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// SIGKILL, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> (std::process::ExitStatus, String) {
        self.signal("TERM");
        let status = until("the product stops", Duration::from_secs(30), || {
            self.child.try_wait().unwrap().ok_or_else(|| "still running".to_owned())
        });
        (status, self.said())
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn json_of(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, String> {
    let mut answer = answer.map_err(|e| e.to_string())?;
    let text = answer.body_mut().read_to_string().map_err(|e| e.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("{}: {text}", answer.status()));
    }
    serde_json::from_str(&text).or(Ok(Value::String(text)))
}

/// Runs a command of the product to its end.
pub fn run(home: &Path, args: &[&str]) -> Output {
    Command::new(BINARY)
        .args(args)
        .current_dir(home)
        .env("NO_COLOR", "1")
        .env_remove("KIZASHI_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}
