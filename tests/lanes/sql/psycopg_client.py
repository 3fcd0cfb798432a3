"""psycopg 3, what Python programs use."""

import datetime
import decimal

import psycopg
from product import TOKEN


def connect(product, **more):
    return psycopg.connect(host=product.host, port=product.port, dbname="kizashi", user="admin", password=TOKEN, sslmode="require", **more)


def test_parameters_and_types(product):
    with connect(product) as connection:
        sql = """select count(*), max(slot), %s::text, %s + 1, cast(1.5 as decimal(6,2)), interval '90 minutes',
                 make_array('a', 'b'), true, cast(null as text) from check_results where tenant = %s and slot > %s"""
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        row = connection.execute(sql, ("it's", 41, "aozora", since)).fetchone()
        assert row[0] > 0 and row[1].tzinfo is not None and row[1] > since, row
        assert row[2:] == ("it's", 42, decimal.Decimal("1.50"), datetime.timedelta(minutes=90), ["a", "b"], True, None), row


def test_binary_results_are_the_same(product):
    sql = "select slot, value, tenant, recorded, day, make_array(1, 2), cast('2.25' as decimal(8,2)) from samples order by slot, tenant, check_id, metric limit 20"
    with connect(product) as connection:
        text = connection.execute(sql).fetchall()
        with connection.cursor(binary=True) as cursor:
            binary = cursor.execute(sql).fetchall()
    assert text == binary and len(text) > 3, (text[:2], binary[:2])


def test_server_side_cursors(product):
    with connect(product) as connection:
        total = connection.execute("select count(*) from samples where slot < now()").fetchone()[0]
        with connection.cursor(name="rows") as cursor:
            cursor.itersize = 7
            cursor.execute("select slot, value from samples where tenant <> %s limit 40", ("nobody",))
            rows = list(cursor)
        assert len(rows) == min(40, total), (len(rows), total)
        with connection.cursor(name="binary", binary=True) as cursor:
            cursor.execute("select value from samples limit 3")
            assert all(isinstance(row[0], float) for row in cursor.fetchall())


def test_a_failed_transaction_and_after_it(product):
    with connect(product) as connection:
        try:
            connection.execute("select nothing from samples")
            raise AssertionError("it went well")
        except psycopg.errors.UndefinedColumn as error:
            assert error.diag.message_hint and error.diag.statement_position, error.diag
        try:
            connection.execute("select 1")
            raise AssertionError("it went well")
        except psycopg.errors.InFailedSqlTransaction:
            connection.rollback()
        assert connection.execute("select 1").fetchone() == (1,)
        try:
            connection.execute("insert into samples select * from samples")
            raise AssertionError("it went well")
        except psycopg.errors.ReadOnlySqlTransaction:
            pass


def test_copy_out(product):
    with connect(product) as connection, connection.cursor() as cursor:
        with cursor.copy("copy (select check_id, state from check_results limit 4) to stdout") as copy:
            rows = list(copy.rows())
        assert len(rows) == 4 and all(len(row) == 2 for row in rows), rows
        with cursor.copy("copy (select check_id, duration_ms from check_results limit 4) to stdout (format binary)") as copy:
            copy.set_types(["text", "int8"])
            rows = list(copy.rows())
        assert len(rows) == 4 and all(isinstance(row[1], int) for row in rows), rows


def test_the_time_zone_of_the_session(product):
    with connect(product, options="-c TimeZone=Asia/Tokyo") as connection:
        newest = connection.execute("select max(slot) from check_results").fetchone()[0]
        assert newest.utcoffset() == datetime.timedelta(hours=9), newest
