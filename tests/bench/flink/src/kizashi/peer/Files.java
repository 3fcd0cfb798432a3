package kizashi.peer;

import java.io.IOException;
import org.apache.flink.api.common.serialization.BulkWriter;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.formats.parquet.ParquetWriterFactory;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.api.WriteSupport;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.OutputFile;

/** Parquet files of a table: zstd at level 1, which is what Kizashi writes too. */
final class Files implements BulkWriter.Factory<CheckResult> {
    private final Table table;

    Files(Table table) {
        this.table = table;
    }

    @Override
    public BulkWriter<CheckResult> create(FSDataOutputStream out) throws IOException {
        BulkWriter<CheckResult> file = new ParquetWriterFactory<CheckResult>(o -> new Builder(o, table).build()).create(out);
        return table == Table.check_results ? file : new PerMetric(file);
    }

    private record PerMetric(BulkWriter<CheckResult> file) implements BulkWriter<CheckResult> {
        @Override
        public void addElement(CheckResult of) throws IOException {
            for (of.row = 0; of.row < of.metrics; of.row++) file.addElement(of);
        }

        @Override
        public void flush() throws IOException {
            file.flush();
        }

        @Override
        public void finish() throws IOException {
            file.finish();
        }
    }

    private static final class Builder extends ParquetWriter.Builder<CheckResult, Builder> {
        /** One for all files: each new one would read Hadoop's defaults again. */
        private static final Configuration HADOOP = hadoop();

        private final Table table;

        Builder(OutputFile out, Table table) {
            super(out);
            this.table = table;
            withConf(HADOOP);
            withCompressionCodec(CompressionCodecName.ZSTD);
            if (table == Table.check_results) {
                // Texts that do not repeat: a dictionary is given up half way, and their extremes help nobody.
                withDictionaryEncoding("output", false);
                withStatisticsEnabled("output", false);
            }
        }

        private static Configuration hadoop() {
            Configuration of = new Configuration(false);
            of.setInt("parquet.compression.codec.zstd.level", 1);
            return of;
        }

        @Override
        protected Builder self() {
            return this;
        }

        @Override
        protected WriteSupport<CheckResult> getWriteSupport(Configuration of) {
            return new Rows(table);
        }
    }
}
