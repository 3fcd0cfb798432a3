"""SQLAlchemy's inspection and pandas."""

import pandas
import sqlalchemy
from product import TOKEN


def engine(product):
    url = f"postgresql+psycopg://admin:{TOKEN}@{product.host}:{product.port}/kizashi?sslmode=require"
    return sqlalchemy.create_engine(url)


def test_sqlalchemy_inspects(product):
    inspector = sqlalchemy.inspect(engine(product))
    assert "public" in inspector.get_schema_names()
    assert {"check_results", "samples", "rejects"} <= set(inspector.get_table_names()), inspector.get_table_names()
    assert "current_state" in inspector.get_view_names(), inspector.get_view_names()
    columns = {column["name"]: column for column in inspector.get_columns("samples")}
    assert isinstance(columns["slot"]["type"], sqlalchemy.types.DateTime) and columns["slot"]["type"].timezone
    assert isinstance(columns["value"]["type"], sqlalchemy.types.Float), columns["value"]
    assert columns["tenant"]["comment"] == "Whose row it is", columns["tenant"]
    key = inspector.get_pk_constraint("samples")
    assert key["constrained_columns"] == ["tenant", "check_id", "metric", "slot"], key
    assert inspector.get_foreign_keys("samples") == [] and inspector.get_indexes("samples") is not None


def test_pandas_reads(product):
    with engine(product).connect() as connection:
        frame = pandas.read_sql(sqlalchemy.text("select slot, value from samples where value >= :least"), connection, params={"least": 0.0})
    assert len(frame) > 3 and str(frame["slot"].dtype).startswith("datetime64") and frame["value"].dtype == "float64", frame.dtypes
    with engine(product).connect() as connection:
        table = pandas.read_sql_table("check_retirements", connection)
    assert list(table.columns)[:3] == ["tenant", "check_id", "at"], table.columns
