package kizashi.peer;

import java.time.LocalDate;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.streaming.api.functions.sink.filesystem.BucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.SimpleVersionedStringSerializer;

/** The folder of a result: the UTC day of its slot. */
final class Day implements BucketAssigner<CheckResult, String> {
    private static final long DAY_MS = 86_400_000;

    private transient long last;
    private transient String folder;

    @Override
    public String getBucketId(CheckResult of, Context context) {
        long day = Math.floorDiv(of.slotMs, DAY_MS);
        if (folder == null || day != last) {
            last = day;
            folder = "day=" + LocalDate.ofEpochDay(day);
        }
        return folder;
    }

    @Override
    public SimpleVersionedSerializer<String> getSerializer() {
        return SimpleVersionedStringSerializer.INSTANCE;
    }
}
