//! People's SQL runs in a process of its own: statements that kill such engines, a worker that is killed, and what it holds.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::product::TOKEN;
use crate::support::{Asker, Product, Settings, until};

const SOON: Duration = Duration::from_secs(30);
/// What one statement may take with these settings: its time, the grace, and the machine's.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

fn strict(more: &str) -> Settings {
    Settings::quiet(&format!(
        "[lake]\nlinger = \"100ms\"\n[sql]\ntimeout = \"2s\"\ngrace = \"1s\"\nqueue_wait = \"2s\"\nmemory_mb = 64\nspill_mb = 64\nresult_mb = 8\n{more}\n"
    ))
}

fn status_of(pid: &str, key: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim_start_matches(':').split_whitespace().next()?.to_owned())
}

fn is_alive(pid: &str) -> bool {
    status_of(pid, "State").is_some_and(|state| state != "Z")
}

/// The worker of this product, if it runs now.
fn find_worker(product: &Product) -> Option<String> {
    let own = product.pid().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    processes
        .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        .find(|pid| status_of(pid, "PPid").is_some_and(|parent| parent == own) && is_alive(pid))
}

fn worker(product: &Product) -> String {
    until("there is a worker", SOON, || find_worker(product).ok_or_else(|| product.said()))
}

fn answers(product: &Product) {
    until("SQL answers", SOON, || {
        let rows = product.sql("select 1 as one")?;
        if rows == [json!({"one": 1})] { Ok(()) } else { Err(format!("{rows:?}")) }
    });
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), pid]).status().unwrap().success());
}

/// Asks on a thread of its own.
fn ask(asker: Asker, sql: &'static str) -> std::thread::JoinHandle<Result<Vec<serde_json::Value>, String>> {
    std::thread::spawn(move || asker.sql(sql))
}

fn repeated(text: &str, times: usize, between: &str) -> String {
    vec![text; times].join(between)
}

/// Statements of which each is known to have killed an engine of this kind.
fn killers() -> Vec<String> {
    let literal = "x".repeat(60_000);
    let doubling: String = (1..40).fold("with t0 as (select 1 as x)".to_owned(), |mut sql, i| {
        write!(sql, ", t{i} as (select a.x from t{} a, t{} b)", i - 1, i - 1).unwrap();
        sql
    });
    let columns =
        |of: &str, count: usize| (0..count).map(|n| of.replace('N', &n.to_string())).collect::<Vec<_>>().join(", ");
    let mut killers = vec![
        format!("select 1 where {}", repeated("1 = 2", 20_000, " or ")),
        format!("select {}", repeated("1", 15_000, " + ")),
        format!("select {}1{}", "(".repeat(30_000), ")".repeat(30_000)),
        format!("select {}1", "- ".repeat(20_000)),
        format!("select {}true", "not ".repeat(10_000)),
        format!("select {}1{}", "abs(".repeat(5_000), ")".repeat(5_000)),
        format!("select {}1{}", "case when true then ".repeat(2_500), " end".repeat(2_500)),
        format!("select {}", "[".repeat(30_000)),
        format!("select '{}'", "x".repeat(1_000_000)),
        format!("select 1 where 1 in ({})", repeated("1", 30_000, ",")),
        format!("select 1 from samples where value in ({})", repeated("7", 12_000, ",")),
        format!("select 1 from {}", repeated("samples", 5_000, ", ")),
        format!("select 1 {}", "union all select 1 ".repeat(3_000)),
        format!("{doubling} select count(*) from t39"),
        format!(
            "select count(*) from samples s0 {}",
            (1..2_000).fold(String::new(), |s, i| format!("{s} join samples s{i} using (slot)"))
        ),
        format!(
            "select {} from generate_series(1, 100000000)",
            columns("concat('LITERAL', value + N)", 40).replacen("LITERAL", &literal[..1_000], 60)
        ),
        // One batch that works for hours and cannot be interrupted.
        format!(
            "select sum(levenshtein(concat('{}', value), '{}')) from generate_series(1, 8000)",
            &literal[..7_000],
            "y".repeat(7_000)
        ),
        format!(
            "select regexp_like(concat('{}', value), '(x+x+)+y') from generate_series(1, 100000000)",
            &literal[..20_000]
        ),
    ];
    killers.extend(
        [
            "select count(*) from generate_series(1, 100000) a cross join generate_series(1, 100000) b cross join generate_series(1, 100000) c",
            "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b where a.value * b.value = 7",
            "select count(*) from generate_series(1, 2684354560000)",
            "select * from generate_series(1, 2684354560) order by value % 1000, value desc",
            "select repeat('x', 2000000000)",
            "select lpad('x', 2000000000)",
            "select rpad('x', 2000000000, 'yz')",
            "select array_repeat(1, 2000000000)",
            "select unnest(range(1, 2000000000))",
            "select max(s) from (select sum(value) over (order by value) as s from generate_series(1, 100000000000))",
            "select max(s) from (select sum(value) over (partition by value % 2 rows between unbounded preceding and unbounded following) as s from generate_series(1, 1000000000))",
            "select length(array_to_string(array_agg(value), ',')) from generate_series(1, 1000000000)",
            "select length(string_agg(cast(value as varchar), ',')) from generate_series(1, 1000000000)",
            "select count(distinct value) from generate_series(1, 1000000000)",
            "select count(*) from (select value from generate_series(1, 500000000) group by value)",
            "select count(*) from generate_series(1, 50000000) a join generate_series(1, 50000000) b on a.value = b.value join generate_series(1, 50000000) c on b.value = c.value",
            "with recursive r as (select 1 as n union all select n + 1 from r) select count(*) from r",
            "with recursive r as (select 1 as n union all select a.n from r a, r b) select count(*) from r",
            "select regexp_like('x', '((((a{1000}){1000}){1000}){1000})')",
            "select count(*) from generate_series(1, 1000000000) g where regexp_like(cast(g.value as varchar), '^(1+)+$|(a|aa)+$')",
            "select count(*) from samples group by cube(tenant, check_id, metric, slot, value, unit, limit_value, recorded, day)",
            "select * from '/etc/passwd'",
            "select * from read_csv('/etc/passwd')",
            "copy (select 1) to '/tmp/kizashi-was-here.csv'",
            "create external table t stored as csv location 'http://169.254.169.254/'",
        ]
        .map(str::to_owned),
    );
    killers
}

#[test]
fn statements_that_kill_such_engines_are_errors_within_their_limits_and_the_product_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than by default, so that more than the bound on length is met.
    let product = Product::start(folder.path(), &strict("statement_bytes_max = 900000\n"));
    answers(&product);
    for sql in killers() {
        let shown: String = sql.chars().take(100).collect();
        let started = Instant::now();
        let error = product.sql(&sql).expect_err(&shown);
        let took = started.elapsed();
        println!("{:>6} ms  {}  {shown}", took.as_millis(), error.chars().take(3).collect::<String>());
        assert!(["400", "422", "503"].iter().any(|status| error.starts_with(status)), "{shown}: {error}");
        assert!(took < ANSWERED_WITHIN, "{shown}: {took:?}");
        assert!(product.get("/readyz").is_ok(), "after {shown}");
        answers(&product);
    }
    assert!(!Path::new("/tmp/kizashi-was-here.csv").exists());
}

#[test]
fn a_statement_that_takes_all_memory_ends_the_worker_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let product = Product::start(folder.path(), &Settings::quiet("[sql]\nhot_mb = 0\nworker_memory_mb = 768\n"));
    answers(&product);
    let first = worker(&product);
    // Each column of one batch may have its 64 MB, and nobody counts them together.
    let text = "x".repeat(6_000);
    let columns: Vec<String> = (0..40).map(|n| format!("concat(s, value + {n}) as c{n}")).collect();
    let sql =
        format!("select {} from (select '{text}' as s, value from generate_series(1, 8192))", columns.join(", "),);
    let error = product.sql(&sql).unwrap_err();
    assert!(error.starts_with("503") && error.contains("worker_memory_mb"), "{error}");
    assert!(product.get("/readyz").is_ok());
    answers(&product);
    assert_ne!(worker(&product), first);
}

#[test]
fn a_worker_killed_in_mid_query_leaves_http_checks_and_pipeline_going() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::quiet(
        "[lake]\nlinger = \"100ms\"\n[[check]]\nid = \"cpu\"\ninterval = \"1s\"\nretry_interval = \"1s\"\ntimeout = \"900ms\"\ncpu = {}\n",
    );
    let product = Product::start(folder.path(), &settings);
    answers(&product);
    let first = worker(&product);
    let count = || {
        let rows = product.sql("select count(*) as n from check_results")?;
        rows[0]["n"].as_i64().ok_or_else(|| format!("{rows:?}"))
    };
    let before = until("results arrive", SOON, || count().and_then(|n| if n > 0 { Ok(n) } else { Err(n.to_string()) }));

    let asked = ask(product.asker(), "select count(*) from generate_series(1, 1000000000000)");
    until("the statement runs", SOON, || {
        let threads = std::fs::read_dir(format!("/proc/{first}/task")).map_err(|e| e.to_string())?;
        let busy = threads.filter_map(Result::ok).any(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.contains("(kizashi-sql) R")
        });
        if busy { Ok(()) } else { Err("no thread is busy".to_owned()) }
    });
    signal("KILL", &first);
    let error = asked.join().unwrap().unwrap_err();
    assert!(error.starts_with("503"), "{error}");
    for words in ["the SQL worker ended while this statement ran", "signal 9", "send the statement once more"] {
        assert!(error.contains(words), "{words:?} is not in {error}");
    }
    assert!(product.get("/readyz").is_ok(), "the rest is ready");
    assert!(product.get("/api/v1/checks").is_ok());
    answers(&product);
    assert_ne!(worker(&product), first);
    until("results go on arriving", SOON, || {
        count().and_then(|n| if n > before { Ok(()) } else { Err(n.to_string()) })
    });
    let (status, said) = product.stop();
    assert!(status.success(), "{said}");
    assert!(said.contains("the SQL worker ended (it was ended by signal 9)"), "{said}");
}

#[test]
fn what_a_killed_worker_had_on_disk_is_gone_once_the_next_one_answers() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::quiet("[sql]\nmemory_mb = 48\nspill_mb = 2000\n");
    let product = Product::start(folder.path(), &settings);
    answers(&product);
    let spill = folder.path().join("kizashi-data/sql/spill");
    let bytes = || {
        let folders = std::fs::read_dir(&spill).into_iter().flatten().filter_map(Result::ok);
        let files = folders.filter_map(|folder| std::fs::read_dir(folder.path()).ok()).flatten().filter_map(Result::ok);
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum::<u64>()
    };
    let sql = "select max(s) from (select sum(value) over (partition by value % 7 order by value desc) as s from generate_series(1, 300000000))";
    let asked = ask(product.asker(), sql);
    until("the sort goes to disk", SOON, || if bytes() > 0 { Ok(()) } else { Err("nothing there".to_owned()) });
    signal("KILL", &worker(&product));
    assert!(asked.join().unwrap().is_err());
    answers(&product);
    assert_eq!(bytes(), 0);
}

#[test]
fn a_worker_that_hangs_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let product = Product::start(folder.path(), &strict(""));
    answers(&product);
    let first = worker(&product);
    signal("STOP", &first);
    let started = Instant::now();
    let error = product.sql("select 1").unwrap_err();
    assert!(error.starts_with("422") && error.contains("started again"), "{error}");
    assert!(started.elapsed() < ANSWERED_WITHIN, "{:?}", started.elapsed());
    answers(&product);
    assert!(!is_alive(&first));
}

#[test]
fn a_statement_that_cannot_be_interrupted_ends_in_time_and_with_it_its_worker() {
    let folder = tempfile::tempdir().unwrap();
    let product = Product::start(folder.path(), &strict(""));
    answers(&product);
    let first = worker(&product);
    let (x, y) = ("x".repeat(7_000), "y".repeat(7_000));
    let sql = format!("select sum(levenshtein(concat('{x}', value), '{y}')) from generate_series(1, 8000)");
    let started = Instant::now();
    let error = product.sql(&sql).unwrap_err();
    assert!(error.starts_with("422") && error.contains("timeout"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    until("the worker was replaced", SOON, || if is_alive(&first) { Err(product.said()) } else { Ok(()) });
    answers(&product);
    assert!(product.said().contains("could not be interrupted"), "{}", product.said());
}

#[test]
fn the_worker_holds_no_secret_no_database_and_no_more_memory_than_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = strict("worker_memory_mb = 900\n");
    settings.env.push(("KIZASHI_SOMETHING_SECRET".to_owned(), "hunter2".to_owned()));
    let product = Product::start(folder.path(), &settings);
    answers(&product);
    product.sql("select count(*) from check_results").unwrap();
    let pid = worker(&product);
    let read =
        |file: &str| String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{file}")).unwrap()).into_owned();

    let environment = read("environ");
    let names: Vec<&str> = environment.split('\0').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    assert_eq!(names, ["NO_COLOR"], "{environment}");
    let everything = environment + &read("cmdline");
    assert!(!everything.contains(TOKEN) && !everything.contains("hunter2"), "{everything}");

    let data = folder.path().canonicalize().unwrap().join("kizashi-data");
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let Ok(target) = std::fs::read_link(entry.unwrap().path()) else { continue };
        let harmless = ["socket:", "pipe:", "anon_inode:", "/dev/null"]
            .iter()
            .any(|kind| target.starts_with(kind) || target.to_string_lossy().starts_with(kind));
        assert!(harmless || target.starts_with(data.join("lake")), "the worker holds {}", target.display());
    }
    let limits = read("limits");
    let limit_of = |what: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit_of("Max data size"), (900 * 1024 * 1024).to_string(), "{limits}");
    assert_eq!(limit_of("Max core file size"), "0", "{limits}");
    assert_eq!(read("oom_score_adj").trim(), "500");

    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &str| std::fs::metadata(data.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("sql"), mode("sql/worker.socket")), (0o700, 0o600));
}

#[test]
fn the_worker_ends_with_the_product_however_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let gone =
        |pid: &str| until("the worker is gone", SOON, || if is_alive(pid) { Err(pid.to_owned()) } else { Ok(()) });
    let product = Product::start(folder.path(), &strict(""));
    let pid = worker(&product);
    product.kill();
    gone(&pid);
    let product = Product::start(folder.path(), &strict(""));
    answers(&product);
    let pid = worker(&product);
    let (status, said) = product.stop();
    assert!(status.success(), "{said}");
    gone(&pid);
}

#[test]
fn by_hand_the_worker_says_who_starts_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = crate::support::product::run(folder.path(), &["sql-worker"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("started by `up`"), "{said}");
    let help = crate::support::product::run(folder.path(), &["--help"]);
    assert!(!String::from_utf8_lossy(&help.stdout).contains("sql-worker"), "nobody needs to know it");
}
