//! A folder of a user's: steps, their tests, reference tables.

use std::path::Path;

use kizashi_steps::{StepError, testing};

pub fn step(input: &str, output: &str, more: &str, sql: &str) -> String {
    format!(
        "-- title: A step\n-- owner: ops\n-- input: {input}\n-- output: table {output}\n-- time: slot\n-- late: keep\n{more}--\n{sql}\n"
    )
}

pub fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

async fn tested(files: &[(&str, &str)]) -> Result<usize, StepError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(dir.path(), name, text);
    }
    testing::test_all(Some(dir.path())).await
}

const OWNERS: [(&str, &str); 2] = [
    (
        "reference/owners.csv",
        "check_id,team,valid_from\nurl:a,blue,2026-01-01T00:00:00Z\nurl:a,red,2026-01-02T00:00:00Z\n",
    ),
    ("reference/owners.toml", "title = \"Who looks after a check\"\nkey = [\"check_id\"]\n"),
];

#[tokio::test]
async fn a_step_filters_derives_and_enriches_as_of_the_rows_time() {
    let sql = step(
        "check_results",
        "slow",
        "-- column team: Who looks after it\n-- column seconds: How long it took\n",
        "select c.tenant, c.check_id, c.slot, o.team, cast(c.duration_ms as double) / 1000 as seconds\n\
         from check_results c left join owners o\n\
         on o.check_id = c.check_id and c.slot >= o.valid_from and c.slot < o.valid_to\n\
         where c.duration_ms > 1000",
    );
    let test = r#"
        [[case]]
        name = "slow ones, by the team of the day"
        rows.check_results = [
            { check_id = "url:a", slot = "2026-01-01T23:59:00Z", duration_ms = 2000 },
            { check_id = "url:a", slot = "2026-01-02T00:00:00Z", duration_ms = 3000 },
            { check_id = "url:a", slot = "2025-12-31T00:00:00Z", duration_ms = 3000 },
            { check_id = "url:b", slot = "2026-01-02T00:00:00Z", duration_ms = 1500 },
            { check_id = "url:b", slot = "2026-01-02T00:01:00Z", duration_ms = 1000 },
        ]
        expect = [
            { check_id = "url:a", team = "blue", seconds = 2.0 },
            { check_id = "url:a", team = "red", seconds = 3.0 },
            { check_id = "url:a", team = "null", seconds = 3.0 },
            { check_id = "url:b", team = "null", seconds = 1.5 },
        ]
    "#;
    let cases =
        tested(&[("steps/slow.sql", &sql), ("steps/slow.test.toml", test), OWNERS[0], OWNERS[1]]).await.unwrap();
    assert!(cases > 1, "the shipped ones too");
}

#[tokio::test]
async fn steps_read_from_one_another_and_add_up() {
    let slow = step(
        "check_results",
        "slow",
        "",
        "select tenant, check_id, slot, duration_ms from check_results where duration_ms > 1000",
    );
    // Its name comes before that of the step which it reads from.
    let counted = step(
        "slow",
        "counted",
        "-- column times: How often\n-- column longest: The longest\n",
        "select tenant, check_id, date_trunc('day', slot) as slot, count(*) as times, max(duration_ms) as longest\n\
         from slow group by tenant, check_id, date_trunc('day', slot)",
    );
    let slow_test = r#"
        [[case]]
        name = "slow ones"
        rows.check_results = [{ check_id = "a", slot = "2026-01-01T00:00:00Z", duration_ms = 2000 }]
        expect = [{ check_id = "a" }]
    "#;
    let counted_test = r#"
        [[case]]
        name = "by the day"
        rows.slow = [
            { check_id = "a", slot = "2026-01-01T10:00:00Z", duration_ms = 2000 },
            { check_id = "a", slot = "2026-01-01T11:00:00Z", duration_ms = 7000 },
            { check_id = "a", slot = "2026-01-02T11:00:00Z", duration_ms = 3000 },
        ]
        expect = [
            { check_id = "a", slot = "2026-01-01T00:00:00Z", times = 2, longest = 7000 },
            { check_id = "a", slot = "2026-01-02T00:00:00Z", times = 1, longest = 3000 },
        ]
    "#;
    tested(&[
        ("steps/counted.sql", &counted),
        ("steps/counted.test.toml", counted_test),
        ("steps/slow.sql", &slow),
        ("steps/slow.test.toml", slow_test),
    ])
    .await
    .unwrap();
}

#[tokio::test]
async fn what_a_step_refuses_or_cannot_work_out_is_a_reject_and_takes_nothing_else_with_it() {
    let sql = step(
        "check_results",
        "parsed",
        "-- column code: The status\n",
        "select tenant, check_id, case when output = 'move' then slot + interval '1 day' when output <> 'never' then slot end as slot,\n\
         cast(substr(output, 6) as bigint) as code,\n\
         case when output = 'code 0' then 'zero is no status' end as reject from check_results where output not in ('skip')",
    );
    let test = r#"
        [[case]]
        name = "by the record"
        rows.check_results = [
            { check_id = "a", slot = "2026-01-01T00:00:00Z", output = "code 200" },
            { check_id = "a", slot = "2026-01-01T00:01:00Z", output = "code 0" },
            { check_id = "a", slot = "2026-01-01T00:02:00Z", output = "code broken" },
            { check_id = "a", slot = "2026-01-01T00:03:00Z", output = "code 404" },
            { check_id = "a", slot = "2026-01-01T00:04:00Z", output = "skip" },
        ]
        expect = [{ code = 200 }, { code = 404 }]
        rejects = ["step parsed: zero is no status", "step parsed: Cast error: Cannot cast string 'broken'"]
    "#;
    tested(&[("steps/parsed.sql", &sql), ("steps/parsed.test.toml", test)]).await.unwrap();

    let sql = sql.replace("cast(substr(output, 6) as bigint)", "1");
    let test = r#"
        [[case]]
        name = "times"
        rows.check_results = [
            { check_id = "a", slot = "2026-01-01T00:00:00Z", output = "move" },
            { check_id = "a", slot = "2026-01-01T00:01:00Z", output = "never" },
        ]
        rejects = ["the row's slot is on another UTC day than what it is made of", "the row has no slot"]
    "#;
    tested(&[("steps/parsed.sql", &sql), ("steps/parsed.test.toml", test)]).await.unwrap();
}

#[tokio::test]
async fn a_step_that_makes_very_many_rows_of_one_is_stopped() {
    let sql = step(
        "check_results",
        "many",
        "-- column n: A number\n",
        "select c.tenant, c.slot, n.n from check_results c join (values (1),(2),(3),(4),(5),(6),(7),(8),(9),(10),(11)) as n(n)\n\
         on c.duration_ms >= n.n",
    );
    let test = r#"
        [[case]]
        name = "ten and no more"
        rows.check_results = [
            { check_id = "a", slot = "2026-01-01T00:00:00Z", duration_ms = 2 },
            { check_id = "b", slot = "2026-01-01T00:00:00Z", duration_ms = 11 },
        ]
        expect = [{ n = 1 }, { n = 2 }]
        rejects = ["it makes more than 10 rows of one"]
    "#;
    // Beside another, by itself and in the other order: the same.
    tested(&[("steps/many.sql", &sql), ("steps/many.test.toml", test)]).await.unwrap();
}

#[tokio::test]
async fn a_sum_that_fails_for_one_record_is_the_sum_of_the_others() {
    let sql = step(
        "check_results",
        "codes",
        "-- column codes: Their sum\n",
        "select tenant, slot, sum(cast(output as bigint)) as codes from check_results group by tenant, slot",
    );
    let test = r#"
        [[case]]
        name = "one is no number"
        rows.check_results = [
            { check_id = "a", slot = "2026-01-01T00:00:00Z", output = "2" },
            { check_id = "b", slot = "2026-01-01T00:00:00Z", output = "two" },
            { check_id = "c", slot = "2026-01-01T00:00:00Z", output = "3" },
        ]
        expect = [{ codes = 5 }]
        rejects = ["Cannot cast string 'two'"]
    "#;
    tested(&[("steps/codes.sql", &sql), ("steps/codes.test.toml", test)]).await.unwrap();
}

#[tokio::test]
async fn a_case_that_does_not_hold_is_told_with_its_line() {
    let sql = step("samples", "high", "", "select tenant, check_id, metric, slot, value from samples where value > 10");
    let case = |expect: &str| {
        format!(
            "[[case]]\nname = \"high\"\nrows.samples = [{{ metric = \"m\", slot = \"2026-01-01T00:00:00Z\", value = 11.0 }}]\n{expect}\n"
        )
    };
    let cases = [
        (case("expect = [{ value = 12.0 }]"), "high.test.toml:2: high: no row is {\"value\":12.0}; left are ["),
        (case(""), "high.test.toml:2: high: rows that were not expected: ["),
        (case("expect = [{}]\nrejects = [\"low\"]"), "nothing was rejected with \"low\""),
        (case("expect = [{}]\nrows.problems = []"), "problems is no input of the step"),
        (case("expect = [{}]\nreference.racks = []"), "there is no reference table racks"),
        (case("expects = [{}]"), "high.test.toml:4: unknown field `expects`"),
        (String::new(), "high.test.toml:1: "),
    ];
    for (test, expected) in cases {
        let error = tested(&[("steps/high.sql", &sql), ("steps/high.test.toml", &test)]).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\n{expected}");
    }
    let untested = tested(&[("steps/high.sql", &sql)]).await.unwrap_err().to_string();
    assert!(untested.contains("high.sql has no test"), "{untested}");
}
