package kizashi.peer;

import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.hadoop.api.WriteSupport;
import org.apache.parquet.io.api.Binary;
import org.apache.parquet.io.api.RecordConsumer;

/** A result straight into Parquet's columns: a row of check_results, or the row of samples of its current metric. */
final class Rows extends WriteSupport<CheckResult> {
    private final Table table;
    private final String[] names;
    private RecordConsumer out;

    Rows(Table table) {
        this.table = table;
        names = table.schema.getFields().stream().map(f -> f.getName()).toArray(String[]::new);
    }

    @Override
    public WriteContext init(Configuration configuration) {
        return new WriteContext(table.schema, Map.of());
    }

    @Override
    public void prepareForWrite(RecordConsumer consumer) {
        out = consumer;
    }

    @Override
    public void write(CheckResult of) {
        out.startMessage();
        if (table == Table.check_results) result(of);
        else sample(of, of.row);
        out.endMessage();
    }

    private void result(CheckResult of) {
        put(0, of.tenant);
        put(1, of.checkId);
        put(2, of.kind);
        put(3, of.slotMs * 1_000);
        put(4, of.state);
        put(5, of.output);
        put(6, of.durationMs);
        put(7, of.latenessMs);
        put(8, of.intervalMs);
        put(9, of.recorded);
    }

    private void sample(CheckResult of, int i) {
        put(0, of.tenant);
        put(1, of.checkId);
        put(2, of.name[i]);
        put(3, of.slotMs * 1_000);
        put(4, of.value[i]);
        put(5, of.unit[i]);
        if (of.limited[i]) put(6, of.limit[i]);
        put(7, of.recorded);
    }

    private void put(int column, Binary value) {
        out.startField(names[column], column);
        out.addBinary(value);
        out.endField(names[column], column);
    }

    private void put(int column, long value) {
        out.startField(names[column], column);
        out.addLong(value);
        out.endField(names[column], column);
    }

    private void put(int column, double value) {
        out.startField(names[column], column);
        out.addDouble(value);
        out.endField(names[column], column);
    }

    private void put(int column, boolean value) {
        out.startField(names[column], column);
        out.addBoolean(value);
        out.endField(names[column], column);
    }
}
