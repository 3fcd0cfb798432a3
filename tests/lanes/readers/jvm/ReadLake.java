import com.fasterxml.jackson.databind.ObjectMapper;
import io.delta.kernel.Scan;
import io.delta.kernel.Snapshot;
import io.delta.kernel.TableManager;
import io.delta.kernel.data.FilteredColumnarBatch;
import io.delta.kernel.data.Row;
import io.delta.kernel.defaults.engine.DefaultEngine;
import io.delta.kernel.engine.Engine;
import io.delta.kernel.engine.FileReadResult;
import io.delta.kernel.internal.InternalScanFileUtils;
import io.delta.kernel.internal.data.ScanStateRow;
import io.delta.kernel.internal.util.Utils;
import io.delta.kernel.types.StructType;
import io.delta.kernel.utils.CloseableIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;

/**
 * Reads every table of a lake with Delta Kernel, which follows the log and its checkpoints by itself and shares no code with
 * the readers of Python. Prints one line of JSON per table: name, version, number of files, and what was found.
 */
public class ReadLake {
    public static void main(String[] arguments) throws IOException {
        Engine engine = DefaultEngine.create(new Configuration());
        ObjectMapper json = new ObjectMapper();
        for (Path table : tables(Path.of(arguments[0]).toRealPath())) {
            System.out.println(json.writeValueAsString(read(engine, table)));
        }
    }

    private static List<Path> tables(Path lake) throws IOException {
        try (Stream<Path> folders = Files.list(lake)) {
            return folders.filter(folder -> Files.isDirectory(folder.resolve("_delta_log"))).sorted().toList();
        }
    }

    private static Map<String, Object> read(Engine engine, Path table) throws IOException {
        Snapshot snapshot = TableManager.loadSnapshot(table.toString()).build(engine);
        Scan scan = snapshot.getScanBuilder().build();
        Row state = scan.getScanState(engine);
        Found found = new Found(snapshot.getSchema());
        long files = 0;
        try (CloseableIterator<Row> listed = Utils.intoRows(scan.getScanFiles(engine))) {
            while (listed.hasNext()) {
                addFile(engine, state, listed.next(), found);
                files++;
            }
        }
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("table", table.getFileName().toString());
        line.put("version", snapshot.getVersion());
        line.put("files", files);
        line.put("found", found.said());
        return line;
    }

    /** The kernel fills in what is not in the file: the day, which is in the log, and columns that came later. */
    private static void addFile(Engine engine, Row state, Row file, Found found) throws IOException {
        StructType columns = ScanStateRow.getPhysicalDataReadSchema(state);
        var status = Utils.singletonCloseableIterator(InternalScanFileUtils.getAddFileStatus(file));
        var read = engine.getParquetHandler().readParquetFiles(status, columns, Optional.empty());
        try (CloseableIterator<FilteredColumnarBatch> batches =
                Scan.transformPhysicalData(engine, state, file, read.map(FileReadResult::getData))) {
            while (batches.hasNext()) {
                found.add(batches.next());
            }
        }
    }
}
