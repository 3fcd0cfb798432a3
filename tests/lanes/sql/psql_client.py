"""psql, the command that administrators have at hand."""

import os
import pathlib
import signal
import subprocess
import tempfile

from product import TOKEN, until


LONG = "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b"


def psql(product, *commands, password=TOKEN, user="admin", fails=False, ssl="require"):
    url = f"postgres://{user}@{product.host}:{product.port}/kizashi?sslmode={ssl}"
    arguments = ["psql", url, "-X", "-v", "ON_ERROR_STOP=1", "-A", "-t"]
    for command in commands:
        arguments += ["-c", command]
    env = dict(os.environ, PGPASSWORD=password, PGCONNECT_TIMEOUT="20", LC_ALL="C.UTF-8")
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode != 0) == fails, (commands, done.stdout, done.stderr)
    return done.stderr if fails else done.stdout


def test_it_signs_in_with_scram_over_tls(product):
    assert psql(product, "select 1 + 1").strip() == "2"
    assert "SSL connection" in psql(product, "\\conninfo")
    assert psql(product, "select 1", ssl="disable").strip() == "1", "from this host it need not be encrypted"
    assert "password authentication failed" in psql(product, "select 1", password="wrong", fails=True)


def test_a_tenants_token_shows_the_tenants_rows_only(product):
    token = product.token("lane-aozora", tenant="aozora")
    assert psql(product, "select distinct tenant from check_results", user="lane-aozora", password=token).split() == ["aozora"]
    other = product.token("lane-reader", scopes=("state.read",))
    assert "sql.run" in psql(product, "select 1", user="lane-reader", password=other, fails=True)


def test_it_lists_and_describes_what_there_is(product):
    tables = psql(product, "\\dt")
    assert "public|check_results|table" in tables and "public|samples|table" in tables, tables
    views = psql(product, "\\dv")
    assert "public|current_state|view" in views, views
    everything = psql(product, "\\d")
    assert "check_results" in everything and "current_state" in everything, everything
    described = psql(product, "\\d check_results")
    assert "slot|timestamp with time zone" in described and "duration_ms|bigint" in described, described


def test_it_describes_with_comments(product):
    described = psql(product, "\\d+ check_results")
    assert "Whose row it is" in described, described
    assert "One row per execution of a check" in psql(product, "\\dt+ check_results")
    assert "check_id" in psql(product, "\\d+ current_state")


def test_it_copies_to_a_file(product):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "out.csv"
        psql(product, f"\\copy (select check_id, state from check_results limit 5) to '{path}' with (format csv, header)")
        lines = path.read_text().splitlines()
        assert lines[0] == "check_id,state" and len(lines) == 6, lines


def test_what_it_sets_holds(product):
    text = psql(product, "set time zone 'Asia/Tokyo'", "select max(slot) from check_results", "show time zone")
    assert "+09" in text and "Asia/Tokyo" in text, text
    error = psql(product, "set statement_timeout = '100ms'", LONG, fails=True)
    assert "100 ms" in error, error
    explained = psql(product, "explain analyze select count(*) from samples")
    assert "metrics=[" in explained and "output_rows" in explained, explained


def test_errors_have_place_code_and_hint(product):
    error = psql(product, "\\set VERBOSITY verbose", "select nothing from samples", fails=True)
    assert "42703" in error and "LINE 1" in error and "HINT" in error, error
    assert "25006" in psql(product, "\\set VERBOSITY verbose", "delete from samples", fails=True)


def test_ctrl_c_cancels_a_statement(product):
    url = f"postgres://admin@{product.host}:{product.port}/kizashi?sslmode=require"
    env = dict(os.environ, PGPASSWORD=TOKEN, LC_ALL="C.UTF-8")
    before = worker_cpu(product)
    client = subprocess.Popen(["psql", url, "-X", "-c", LONG], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # Before psql has sent the statement, Ctrl-C would only end psql.
    until(lambda: worker_cpu(product) > before + 0.5, "the statement did not run", product)
    client.send_signal(signal.SIGINT)
    _, error = client.communicate(timeout=30)
    assert "cancelled" in error, error


def worker_cpu(product):
    """CPU seconds of the process that runs people's statements."""
    children = pathlib.Path(f"/proc/{product.process.pid}/task/{product.process.pid}/children").read_text().split()
    others = pathlib.Path(f"/proc/{product.process.pid}/task").iterdir()
    children += [child for task in others for child in (task / "children").read_text().split()]
    fields = [pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split() for child in set(children)]
    return sum(int(of[11]) + int(of[12]) for of in fields) / os.sysconf("SC_CLK_TCK")
