//! Steps that are refused before anything runs: what, where, and what to do.

use kizashi_steps::StepSet;

use crate::files::{step, write};

async fn refused(files: &[(&str, String)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(dir.path(), name, text);
    }
    StepSet::load(Some(dir.path())).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_mixes_records_is_refused() {
    let cases = [
        ("select tenant, slot, row_number() over (order by slot) as n from samples", "a window function"),
        ("select tenant, slot from samples order by slot", "ORDER BY"),
        ("select tenant, slot from samples limit 1", "LIMIT"),
        ("select distinct tenant, slot from samples", "DISTINCT"),
        ("select a.tenant, a.slot from samples a join samples b on a.slot = b.slot", "a join of rows of two records"),
        ("select tenant, slot from samples where value > (select max(value) from samples)", "a subquery"),
        (
            "select tenant, slot, avg(value) as mean from samples group by tenant, slot",
            "avg() cannot be part of a step",
        ),
        (
            "select tenant, slot, sum(value) / count(*) as mean from samples group by tenant, slot",
            "column mean, which is worked out of sums",
        ),
        ("select tenant, slot, count(distinct value) as n from samples group by tenant, slot", "DISTINCT in a sum"),
        (
            "select tenant, slot, count(*) as n from samples group by tenant, slot having count(*) > 1",
            "GROUP BY below the top",
        ),
        ("select tenant, slot, count(*) as n from samples group by rollup(tenant, slot)", "cannot be part of a step"),
        (
            "select tenant, slot, sum(n) as n from (select tenant, slot, count(*) as n from samples group by tenant, slot) group by tenant, slot",
            "GROUP BY below the top",
        ),
    ];
    for (sql, expected) in cases {
        let error = refused(&[("steps/x.sql", step("samples", "x", "-- column n: N\n-- column mean: M\n", sql))]).await;
        assert!(error.contains(expected) && error.contains("x.sql:"), "{sql}\n{error}\n{expected}");
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_is_refused() {
    let cases = [
        ("", "select tenant, slot, now() as n from samples", "now() gives another answer at another time"),
        ("", "select tenant, slot, valu as n from samples", "valu"),
        ("", "select tenant, slot, value + 'a' as n from samples", "x.sql:"),
        ("", "select slot from samples", "there is no column tenant"),
        ("", "select tenant from samples", "there is no column slot"),
        ("", "select tenant, value as slot from samples", "there is no column slot, which is to be the rows' time"),
        ("", "select tenant, slot, value * 2 as twice from samples", "column twice has no comment"),
        ("-- column twice: Twice\n", "select tenant, slot from samples", "the header explains column twice"),
        ("-- column a: A\n", "select tenant, slot, make_array(value) as a from samples", "which a table cannot hold"),
        ("", "select tenant, slot, value * 2 from samples", "a column cannot be named"),
        ("", "select tenant, slot, 1 as reject from samples", "column reject is Int64"),
        ("", "select 'a' as tenant, timestamp '2026-01-01T00:00:00Z' as slot", "the header names the input samples"),
        ("", "delete from samples", "is refused: SQL here only reads"),
        ("", "select tenant, slot from problems", "problems"),
        ("", "select tenant, slot from samples;\nselect 1", "more than one statement"),
    ];
    for (more, sql, expected) in cases {
        let error = refused(&[("steps/x.sql", step("samples", "x", more, sql))]).await;
        assert!(error.contains(expected), "{sql}\n{error}\n{expected}");
    }
}

#[tokio::test]
async fn the_line_of_a_fault_is_told() {
    let error =
        refused(&[("steps/x.sql", step("samples", "x", "", "select tenant,\n slot\nfrom samples\nwhere valu > 1"))])
            .await;
    assert!(error.contains("x.sql:11: "), "{error}");
}

#[tokio::test]
async fn names_and_circles_are_looked_at() {
    let sql = "select tenant, slot from samples";
    let cases = [
        (vec![("steps/x.sql", step("samples", "problems", "", sql))], "the table problems is one of the product's own"),
        (vec![("steps/x.sql", step("sample", "x", "", sql))], "the input sample is no table"),
        (vec![("steps/x.sql", step("rejects", "x", "", sql))], "rejects cannot be the input"),
        (
            vec![("steps/x.sql", step("samples_hourly", "x", "", "select tenant, slot from samples_hourly"))],
            "holds sums",
        ),
        (vec![("steps/X.sql", step("samples", "x", "", sql))], "a step cannot be named \"X\""),
        (
            vec![("steps/a.sql", step("samples", "x", "", sql)), ("steps/b.sql", step("samples", "x", "", sql))],
            "the table x is filled by",
        ),
        (
            vec![
                ("steps/a.sql", step("b", "a", "", "select tenant, slot from b")),
                ("steps/b.sql", step("a", "b", "", "select tenant, slot from a")),
            ],
            "the steps a, b read from one another in a circle",
        ),
        (vec![("steps/x.sql", "x".repeat(70_000))], "70000 bytes"),
        (vec![("reference/r.csv", "a\n1\n".to_owned())], "r.toml cannot be read"),
    ];
    for (files, expected) in cases {
        let error = refused(&files).await;
        assert!(error.contains(expected), "{error}\n{expected}");
    }
}
