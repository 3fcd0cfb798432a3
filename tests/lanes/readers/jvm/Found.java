import io.delta.kernel.data.ColumnVector;
import io.delta.kernel.data.ColumnarBatch;
import io.delta.kernel.data.FilteredColumnarBatch;
import io.delta.kernel.types.StructType;
import java.math.BigDecimal;
import java.time.LocalDate;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/**
 * What was found in a table, under the same names as in readings.py: rows, days, rows of each day, nulls of each column and
 * sums of numbers. The sums are exact, so the order of the rows plays no role.
 */
final class Found {
    private final StructType schema;
    private final Map<LocalDate, Long> days = new TreeMap<>();
    private final long[] nulls;
    private final long[] notFinite;
    private final BigDecimal[] sums;
    private long rows;

    Found(StructType schema) {
        this.schema = schema;
        nulls = new long[schema.length()];
        notFinite = new long[schema.length()];
        sums = new BigDecimal[schema.length()];
        Arrays.fill(sums, BigDecimal.ZERO);
    }

    void add(FilteredColumnarBatch batch) {
        ColumnarBatch data = batch.getData();
        for (int row = 0; row < data.getSize(); row++) {
            int at = row;
            if (batch.getSelectionVector().map(selected -> !selected.getBoolean(at)).orElse(false)) {
                continue;
            }
            rows++;
            days.merge(LocalDate.ofEpochDay(data.getColumnVector(schema.indexOf("day")).getInt(row)), 1L, Long::sum);
            for (int column = 0; column < schema.length(); column++) {
                add(column, data.getColumnVector(column), row);
            }
        }
    }

    private void add(int column, ColumnVector values, int row) {
        if (values.isNullAt(row)) {
            nulls[column]++;
            return;
        }
        switch (type(column)) {
            case "long" -> sums[column] = sums[column].add(BigDecimal.valueOf(values.getLong(row)));
            case "double" -> {
                double value = values.getDouble(row);
                if (Double.isFinite(value)) {
                    sums[column] = sums[column].add(new BigDecimal(value));
                } else {
                    notFinite[column]++;
                }
            }
            default -> { }
        }
    }

    private String type(int column) {
        return schema.at(column).getDataType().toString();
    }

    Map<String, Object> said() {
        Map<String, Object> said = new TreeMap<>(Map.of("rows", rows, "days", days.size()));
        days.forEach((day, count) -> said.put("rows of " + day, count));
        for (int column = 0; column < schema.length(); column++) {
            String name = schema.at(column).getName();
            said.put("nulls(" + name + ")", nulls[column]);
            switch (type(column)) {
                case "long" -> said.put("sum(" + name + ")", sums[column].toBigIntegerExact());
                case "double" -> {
                    said.put("sum(" + name + ")", sums[column].doubleValue());
                    said.put("not finite(" + name + ")", notFinite[column]);
                }
                case "string", "binary", "boolean", "timestamp", "date" -> { }
                default -> throw new IllegalStateException(name + ": no sum is known for " + type(column));
            }
        }
        return said;
    }
}
