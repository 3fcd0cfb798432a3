"""DuckDB for tests/bench/views.rs: reads the file name of a view per line, runs it over the lake's files, prints
seconds and rows. LAKE and the folder of views are its arguments."""

import pathlib
import re
import sys
import time

import duckdb
from deltalake import DeltaTable

LAKE, VIEWS = map(pathlib.Path, sys.argv[1:])
# What DuckDB spells otherwise.
WORDS = [
    ("last_value(", "last("),
    ("first_value(", "first("),
    (""", 'Timestamp(Microsecond, Some("UTC"))')""", ")"),
    ("arrow_cast(", "make_timestamptz("),
    ("cast(slot as bigint)", "epoch_us(slot)"),
    ("cast(l.slot as bigint)", "epoch_us(l.slot)"),
    ('cast(t."at" as bigint)', 'epoch_us(t."at")'),
]


def main():
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("set timezone = 'UTC'")
    for folder in LAKE.iterdir():
        if not (folder / "_delta_log").is_dir():
            continue
        table = DeltaTable(str(folder))
        files = ", ".join("'" + f.removeprefix("file://") + "'" for f in table.file_uris())
        if files:
            relation = f"read_parquet([{files}], hive_partitioning = true)"
        else:
            connection.register("empty_" + folder.name, table.to_pyarrow_table())
            relation = "empty_" + folder.name
        connection.execute(f"create view {folder.name} as select * from {relation}")
    statements = {path: translated(path.read_text()) for path in VIEWS.glob("*.sql")}
    # A view may read another: those that fail wait for the next round.
    waiting = list(statements)
    while waiting:
        failed = [path for path in waiting if not created(connection, path.stem, statements[path])]
        assert len(failed) < len(waiting), f"DuckDB does not understand {failed}"
        waiting = failed
    for line in sys.stdin:
        begun = time.perf_counter()
        rows = connection.execute(statements[VIEWS / line.strip()]).to_arrow_table().num_rows
        print(time.perf_counter() - begun, rows, flush=True)


def translated(sql):
    sql = "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    # A column of ours, and a word of DuckDB's grammar.
    sql = re.sub(r"\bat\b", '"at"', sql)
    for ours, theirs in WORDS:
        sql = sql.replace(ours, theirs)
    return sql


def created(connection, name, sql):
    try:
        connection.execute(f"create view {name} as {sql}")
    except duckdb.CatalogException:
        return False
    return True


main()
