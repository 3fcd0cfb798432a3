package kizashi.peer;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;

/** Runs the job a few times in one mini cluster, measures the last run, and looks into what it wrote. */
public final class Peer {
    private static final int PARALLELISM = 2;

    private final String bootstrap, topic;

    private Peer(String bootstrap, String topic) {
        this.bootstrap = bootstrap;
        this.topic = topic;
    }

    /** Usage: BOOTSTRAP TOPIC OUTPUT_FOLDER SCRATCH_FOLDER WARM_UPS. */
    public static void main(String[] args) throws Exception {
        Peer peer = new Peer(args[0], args[1]);
        Path output = Path.of(args[2]).toAbsolutePath(), scratch = Path.of(args[3]).toAbsolutePath();
        try (MiniCluster flink = new MiniCluster(cluster())) {
            flink.start();
            for (int i = 1; i <= Integer.parseInt(args[4]); i++) {
                peer.run(flink, scratch.resolve("warm-up-" + i), scratch, "warm-up");
            }
            System.out.println(peer.run(flink, output, scratch, "measured"));
        }
        System.exit(0);
    }

    private static MiniClusterConfiguration cluster() {
        Configuration settings = new Configuration();
        // Nothing is kept or sent between tasks here: what Flink sets aside for that is the heap's.
        settings.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(16));
        settings.set(TaskManagerOptions.NETWORK_MEMORY_MIN, MemorySize.ofMebiBytes(16));
        settings.set(TaskManagerOptions.NETWORK_MEMORY_MAX, MemorySize.ofMebiBytes(16));
        settings.setString("rest.bind-port", "0");
        return new MiniClusterConfiguration.Builder()
                .setConfiguration(settings)
                .setNumTaskManagers(1)
                .setNumSlotsPerTaskManager(PARALLELISM)
                .build();
    }

    private String run(MiniCluster flink, Path output, Path scratch, String what) throws Exception {
        long records = records();
        System.gc();
        var process = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long cpu = process.getProcessCpuTime(), wall = System.nanoTime();
        flink.executeJobBlocking(Job.of(bootstrap, topic, output, scratch.resolve("checkpoints"), PARALLELISM));
        double cpuS = (process.getProcessCpuTime() - cpu) / 1e9, wallS = (System.nanoTime() - wall) / 1e9;

        Written results = Written.of(output.resolve("check_results")), samples = Written.of(output.resolve("samples"));
        if (results.rows() != records) throw new IllegalStateException(records + " records, but " + results.rows() + " rows");
        String line = "rows=%d samples=%d cpu_s=%.2f wall_s=%.2f files=%d bytes=%d".formatted(
                results.rows(), samples.rows(), cpuS, wallS, results.files() + samples.files(), results.bytes() + samples.bytes());
        System.err.println(what + ": " + line);
        return line;
    }

    private long records() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            List<TopicPartition> partitions = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic)
                    .partitions().stream().map(p -> new TopicPartition(topic, p.partition())).toList();
            return offsets(admin, partitions, OffsetSpec.latest()) - offsets(admin, partitions, OffsetSpec.earliest());
        }
    }

    private static long offsets(Admin admin, List<TopicPartition> of, OffsetSpec which) throws Exception {
        Map<TopicPartition, OffsetSpec> wanted = of.stream().collect(Collectors.toMap(p -> p, p -> which));
        return admin.listOffsets(wanted).all().get().values().stream().mapToLong(o -> o.offset()).sum();
    }
}
