"""Compares what deltalake and duckdb find in the tables of a lake, with each other and with what is expected.

duckdb's own Delta extension is a download, so duckdb reads the Parquet files that the log names, without deltalake's
reader of data: only the list of files comes from there.
"""

import json
import math
import sys
from pathlib import Path

import duckdb
import pyarrow.compute as pc
from deltalake import DeltaTable

TABLES = [
    "check_results",
    "samples",
    "check_retirements",
    "problems",
    "ticket_events",
    "findings",
    "predictions",
    "rejects",
]
NUMBERS = ("int64", "double")


def by_deltalake(table):
    """Rows, and the sum of every numeric column, by deltalake's reader."""
    data = table.to_pyarrow_table()
    sums = {
        field.name: float(pc.sum(data[field.name]).as_py() or 0)
        for field in data.schema
        if str(field.type) in NUMBERS
    }
    days = len(data["day"].unique())
    return data, data.num_rows, sums, days


def by_duckdb(connection, relation, columns):
    parts = ", ".join(["count(*)"] + [f'coalesce(sum("{c}"), 0)::double' for c in columns] + ['count(distinct "day")'])
    row = connection.sql(f"SELECT {parts} FROM {relation}").fetchall()[0]
    return row[0], dict(zip(columns, row[1:-1])), row[-1]


def close(a, b):
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-6)


def compare(lake, name, expected):
    """Prints one line and returns what is wrong."""
    wrong = []
    table = DeltaTable(str(lake / name))
    comments = {f.name: f.metadata.get("comment") for f in table.schema().fields}
    if not all(comments.values()):
        wrong.append(f"columns without a comment: {[c for c, text in comments.items() if not text]}")
    data, rows, sums, days = by_deltalake(table)
    connection = duckdb.connect()
    connection.register("data", data)
    readings = [("arrow", "data")]
    files = table.file_uris()
    if files:
        listed = ", ".join("'" + f.removeprefix("file://") + "'" for f in files)
        readings.append(("files", f"read_parquet([{listed}], hive_partitioning = true)"))
    for how, relation in readings:
        rows_2, sums_2, days_2 = by_duckdb(connection, relation, list(sums))
        if rows != rows_2 or days != days_2:
            wrong.append(f"deltalake has {rows} rows of {days} days, duckdb ({how}) {rows_2} of {days_2}")
        wrong += [
            f"sum({c}): deltalake {sums[c]}, duckdb ({how}) {sums_2[c]}" for c in sums if not close(sums[c], sums_2[c])
        ]
    if expected is not None:
        if rows != expected["rows"]:
            wrong.append(f"{rows} rows, expected {expected['rows']}")
        column = expected.get("column")
        if column and not close(sums[column], expected["sum"]):
            wrong.append(f"sum({column}) is {sums[column]}, expected {expected['sum']}")
    verdict = "ok" if not wrong else "DIFFERENT"
    print(f"{name:17} version {table.version():6} files {len(files):5} rows {rows:9} days {days:4}  {verdict}")
    return [f"{name}: {w}" for w in wrong]


def main():
    lake = Path(sys.argv[1])
    given = Path(sys.argv[2]) if len(sys.argv) > 2 else lake / "expected.json"
    expected = json.loads(given.read_text()) if given.exists() else {}
    wrong = [w for name in TABLES for w in compare(lake, name, expected.get(name))]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
