package kizashi.peer;

import org.apache.parquet.io.api.Binary;

/** One record, decoded; one object for all of them, since objects are reused. */
public final class CheckResult {
    /** What is at most in a record without growing. */
    private static final int METRICS = 16;

    Binary tenant, checkId, kind, state, output;
    long slotMs, durationMs, latenessMs, intervalMs;
    boolean recorded;

    /** How many metrics, and which of them is written now. */
    int metrics, row;
    Binary[] name = new Binary[METRICS], unit = new Binary[METRICS];
    double[] value = new double[METRICS], limit = new double[METRICS];
    boolean[] limited = new boolean[METRICS];

    void grow() {
        int to = 2 * name.length;
        name = java.util.Arrays.copyOf(name, to);
        unit = java.util.Arrays.copyOf(unit, to);
        value = java.util.Arrays.copyOf(value, to);
        limit = java.util.Arrays.copyOf(limit, to);
        limited = java.util.Arrays.copyOf(limited, to);
    }
}
