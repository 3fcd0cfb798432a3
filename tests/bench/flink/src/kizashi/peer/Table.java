package kizashi.peer;

import static org.apache.parquet.schema.LogicalTypeAnnotation.TimeUnit.MICROS;
import static org.apache.parquet.schema.LogicalTypeAnnotation.stringType;
import static org.apache.parquet.schema.LogicalTypeAnnotation.timestampType;
import static org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName.BINARY;
import static org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName.BOOLEAN;
import static org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName.DOUBLE;
import static org.apache.parquet.schema.PrimitiveType.PrimitiveTypeName.INT64;

import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.Type;
import org.apache.parquet.schema.Types;

/** The two tables with the columns of `ingest/model/src/tables.rs`; `day` is the folder. */
enum Table {
    check_results(
            text("tenant"), text("check_id"), text("kind"), time("slot"), text("state"), text("output"), whole("duration_ms"),
            whole("lateness_ms"), whole("interval_ms"), flag("recorded")),
    samples(
            text("tenant"), text("check_id"), text("metric"), time("slot"), Types.required(DOUBLE).named("value"), text("unit"),
            Types.optional(DOUBLE).named("limit_value"), flag("recorded"));

    final MessageType schema;

    Table(Type... columns) {
        schema = new MessageType(name(), columns);
    }

    private static Type text(String name) {
        return Types.required(BINARY).as(stringType()).named(name);
    }

    private static Type time(String name) {
        return Types.required(INT64).as(timestampType(true, MICROS)).named(name);
    }

    private static Type whole(String name) {
        return Types.required(INT64).named(name);
    }

    private static Type flag(String name) {
        return Types.required(BOOLEAN).named(name);
    }
}
