package kizashi.peer;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.io.LocalInputFile;

/** What is committed of a table, by the footers of its files. A hidden file is not committed. */
record Written(long rows, long files, long bytes) {
    static Written of(Path table) throws IOException {
        List<Path> files;
        try (Stream<Path> all = java.nio.file.Files.walk(table)) {
            files = all.filter(java.nio.file.Files::isRegularFile).toList();
        }
        long rows = 0, bytes = 0;
        for (Path file : files) {
            if (file.getFileName().toString().startsWith(".")) throw new IllegalStateException("not committed: " + file);
            try (ParquetFileReader reader = ParquetFileReader.open(new LocalInputFile(file))) {
                rows += reader.getRecordCount();
            }
            bytes += java.nio.file.Files.size(file);
        }
        return new Written(rows, files.size(), bytes);
    }
}
