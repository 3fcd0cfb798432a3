package kizashi.peer;

import java.nio.file.Path;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.OutputFileConfig;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;

/** All of a topic to the two tables: one chain of source, both writers and both committers, twice in parallel. */
final class Job {
    private static final long CHECKPOINT_MS = 2_000;

    private Job() {}

    static JobGraph of(String bootstrap, String topic, Path output, Path checkpoints, int parallelism) {
        Configuration settings = new Configuration();
        settings.setString("execution.checkpointing.dir", checkpoints.toUri().toString());
        settings.setString("state.backend.type", "hashmap");
        // What cannot be read ends the job; Flink would try again for ever.
        settings.setString("restart-strategy.type", "none");
        StreamExecutionEnvironment flink = StreamExecutionEnvironment.getExecutionEnvironment(settings);
        flink.setParallelism(parallelism);
        flink.getConfig().enableObjectReuse();
        flink.enableCheckpointing(CHECKPOINT_MS, CheckpointingMode.EXACTLY_ONCE);

        DataStream<CheckResult> results =
                flink.fromSource(source(bootstrap, topic), WatermarkStrategy.noWatermarks(), "results");
        for (Table table : Table.values()) results.sinkTo(sink(table, output)).name(table.name());
        return flink.getStreamGraph().getJobGraph();
    }

    private static KafkaSource<CheckResult> source(String bootstrap, String topic) {
        return KafkaSource.<CheckResult>builder()
                .setBootstrapServers(bootstrap)
                .setTopics(topic)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setBounded(OffsetsInitializer.latest())
                .setDeserializer(new ResultReader())
                // librdkafka, which Kizashi reads with, leaves the records' sums alone too.
                .setProperty("check.crcs", "false")
                .setProperty("max.poll.records", "5000")
                .setProperty("max.partition.fetch.bytes", "4194304")
                .setProperty("receive.buffer.bytes", "1048576")
                .setProperty("register.consumer.metrics", "false")
                .build();
    }

    private static FileSink<CheckResult> sink(Table table, Path output) {
        var folder = new org.apache.flink.core.fs.Path(output.resolve(table.name()).toUri());
        return FileSink.forBulkFormat(folder, new Files(table))
                .withBucketAssigner(new Day())
                .withRollingPolicy(OnCheckpointRollingPolicy.build())
                .withOutputFileConfig(OutputFileConfig.builder().withPartSuffix(".parquet").build())
                .build();
    }
}
