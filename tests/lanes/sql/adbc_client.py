"""ADBC over Flight SQL: whole tables as Arrow."""

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
from adbc_driver_flightsql import DatabaseOptions
from product import TOKEN


def connect(product, token=TOKEN):
    options = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}"}
    return flightsql.connect(product.flight, db_kwargs=options)


def test_a_whole_table_comes_as_arrow(product):
    with connect(product) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) as n from samples where slot < now()")
        least = cursor.fetchone()[0]
        cursor.execute("select * from samples")
        table = cursor.fetch_arrow_table()
    assert table.num_rows >= least > 0
    assert str(table.schema.field("slot").type) == "timestamp[us, tz=UTC]", table.schema


def test_parameters_are_bound(product):
    with connect(product) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from check_results where tenant = $1 and duration_ms >= $2", ("aozora", 0))
        assert cursor.fetchone()[0] > 0


def test_what_there_is_to_read(product):
    with connect(product) as connection:
        objects = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
        schema = connection.adbc_get_table_schema("samples")
    names = [table["table_name"] for of in objects for schemas in of["catalog_db_schemas"] for table in schemas["db_schema_tables"]]
    assert {"samples", "current_state"} <= set(names), names
    assert "value" in schema.names, schema


def test_a_tenants_token_and_a_wrong_one(product):
    token = product.token("lane-flight", tenant="aozora")
    with connect(product, token) as connection, connection.cursor() as cursor:
        cursor.execute("select distinct tenant from check_results")
        assert cursor.fetchall() == [("aozora",)]
    try:
        with connect(product, "wrong") as connection, connection.cursor() as cursor:
            cursor.execute("select 1")
        raise AssertionError("it went well")
    except adbc_driver_manager.Error as error:
        assert "token" in str(error), error


def test_errors_are_told(product):
    with connect(product) as connection, connection.cursor() as cursor:
        for sql, word in [("select nothing from samples", "nothing"), ("delete from samples", "only reads")]:
            try:
                cursor.execute(sql)
                raise AssertionError("it went well")
            except adbc_driver_manager.Error as error:
                assert word in str(error), error
