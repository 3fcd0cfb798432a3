package kizashi.peer;

import ch.randelshofer.fastdoubleparser.JavaDoubleParser;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.parquet.io.api.Binary;

/**
 * JSON to a {@link CheckResult} in one pass over the bytes. A text without escapes is a slice of the record and is never
 * made a String. Fields may come in any order, but the order they mostly come in is tried first.
 */
final class Decoder {
    private static final byte[][] RESULT = keys(
            "tenant", "check_id", "kind", "slot_ms", "state", "output", "duration_ms", "lateness_ms", "interval_ms", "attempts",
            "metrics", "recorded");
    private static final int RESULT_NEEDED = (1 << 11) - 1;
    private static final byte[][] METRIC = keys("name", "value", "unit", "limit");
    private static final int METRIC_NEEDED = 7;

    private byte[] in;
    private int at;
    private int textFrom, textTo;

    void decode(byte[] record, CheckResult into) {
        in = record;
        at = 0;
        into.recorded = false;
        int seen = 0, field = -1;
        open('{');
        do {
            field = key(RESULT, field);
            seen |= 1 << field;
            switch (field) {
                case 0 -> into.tenant = text();
                case 1 -> into.checkId = text();
                case 2 -> into.kind = text();
                case 3 -> into.slotMs = integer();
                case 4 -> into.state = text();
                case 5 -> into.output = text();
                case 6 -> into.durationMs = integer();
                case 7 -> into.latenessMs = integer();
                case 8 -> into.intervalMs = integer();
                case 9 -> integer();
                case 10 -> metrics(into);
                default -> into.recorded = flag();
            }
        } while (more('}'));
        space();
        if (at != in.length || (seen & RESULT_NEEDED) != RESULT_NEEDED) throw wrong("a field is missing, or there is more");
    }

    private void metrics(CheckResult into) {
        into.metrics = 0;
        open('[');
        if (peek() == ']') {
            at++;
            return;
        }
        do {
            int n = into.metrics++;
            if (n == into.name.length) into.grow();
            into.limited[n] = false;
            int seen = 0, field = -1;
            open('{');
            do {
                field = key(METRIC, field);
                seen |= 1 << field;
                switch (field) {
                    case 0 -> into.name[n] = text();
                    case 1 -> into.value[n] = number();
                    case 2 -> into.unit[n] = text();
                    default -> {
                        into.limited[n] = peek() != 'n';
                        if (into.limited[n]) into.limit[n] = number();
                        else word("null");
                    }
                }
            } while (more('}'));
            if ((seen & METRIC_NEEDED) != METRIC_NEEDED) throw wrong("a field of a metric is missing");
        } while (more(']'));
    }

    /** Which field comes next. Mostly it is the one after the last, written without blanks: told by a single comparison. */
    private int key(byte[][] of, int last) {
        int next = last + 1;
        if (next < of.length) {
            byte[] name = of[next];
            int to = at + name.length;
            if (to <= in.length && Arrays.equals(name, 0, name.length, in, at, to)) {
                at = to;
                return next;
            }
        }
        string();
        open(':');
        for (int i = 0; i < of.length; i++) {
            byte[] name = of[i];
            if (Arrays.equals(name, 1, name.length - 2, in, textFrom, textTo)) return i;
        }
        throw wrong("unknown field");
    }

    private Binary text() {
        boolean plain = string();
        if (plain) return Binary.fromReusedByteArray(in, textFrom, textTo - textFrom);
        return Binary.fromString(Escapes.undo(in, textFrom, textTo));
    }

    /** Sets where the text is; answers whether it is free of escapes. */
    private boolean string() {
        open('"');
        byte[] in = this.in;
        int i = at;
        boolean plain = true;
        textFrom = i;
        while (in[i] != '"') {
            if (in[i] == '\\') {
                plain = false;
                i++;
            }
            i++;
        }
        textTo = i;
        at = i + 1;
        return plain;
    }

    private long integer() {
        boolean negative = peek() == '-';
        if (negative) at++;
        long n = 0;
        int from = at;
        while (at < in.length && in[at] >= '0' && in[at] <= '9') n = n * 10 + (in[at++] - '0');
        if (at == from) throw wrong("no integer");
        return negative ? -n : n;
    }

    private double number() {
        space();
        int from = at;
        while (in[at] != ',' && in[at] != '}' && in[at] > ' ') at++;
        return JavaDoubleParser.parseDouble(in, from, at - from);
    }

    private boolean flag() {
        boolean yes = peek() == 't';
        word(yes ? "true" : "false");
        return yes;
    }

    private void word(String word) {
        for (int i = 0; i < word.length(); i++) if (in[at++] != word.charAt(i)) throw wrong("not " + word);
    }

    private void open(char what) {
        if (peek() != what) throw wrong("no " + what);
        at++;
    }

    private boolean more(char end) {
        byte next = peek();
        at++;
        if (next == ',') return true;
        if (next == end) return false;
        throw wrong("neither a comma nor " + end);
    }

    private byte peek() {
        space();
        return in[at];
    }

    private void space() {
        while (at < in.length && in[at] <= ' ' && in[at] >= 0) at++;
    }

    private IllegalArgumentException wrong(String why) {
        return new IllegalArgumentException(why + " at " + at + ": " + new String(in, StandardCharsets.UTF_8));
    }

    /** With their quotes and colon. */
    private static byte[][] keys(String... names) {
        return Arrays.stream(names).map(n -> ('"' + n + "\":").getBytes(StandardCharsets.UTF_8)).toArray(byte[][]::new);
    }
}
