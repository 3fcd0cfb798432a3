//! What a small statement costs through HTTP and the SQL worker, beside the health page, which asks nobody.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TOKEN: &str = "a-token-for-the-benchmark-0123456789";
const TIMES: usize = 1_000;

pub fn run() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("kizashi.toml"), "[host]\nenabled = false\n").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kizashi"))
        .args(["up", "--listen", "127.0.0.1:0"])
        .current_dir(home.path())
        .env("KIZASHI_ADMIN_TOKEN", TOKEN)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.filter_map(|l| Some(l.split("http://").nth(1)?.trim_end_matches('/').to_owned())).next().unwrap();
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(20))).build().new_agent();
    let get = |path: &str| {
        let mut answer =
            agent.get(format!("http://{url}{path}")).header("authorization", format!("Bearer {TOKEN}")).call().ok()?;
        answer.body_mut().read_to_string().ok()
    };
    let start = Instant::now();
    while get("/readyz").is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "not ready");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    for (name, path) in [("health", "/healthz"), ("select_1", "/api/v1/sql?query=SELECT%201")] {
        let mut took: Vec<Duration> = (0..TIMES)
            .map(|_| {
                let start = Instant::now();
                assert!(get(path).is_some(), "{path}");
                start.elapsed()
            })
            .collect();
        took.sort();
        println!("sql.{name}.p50 {:.2} ms ({TIMES} times over one connection)", took[TIMES / 2].as_secs_f64() * 1e3);
        println!("sql.{name}.p99 {:.2} ms", took[TIMES * 99 / 100].as_secs_f64() * 1e3);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
