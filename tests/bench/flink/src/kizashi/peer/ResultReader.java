package kizashi.peer;

import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** Kafka's bytes to results: always the same object, because what follows is chained and reuses objects. */
final class ResultReader implements KafkaRecordDeserializationSchema<CheckResult> {
    private transient Decoder decoder;
    private transient CheckResult result;

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<CheckResult> out) {
        if (decoder == null) {
            decoder = new Decoder();
            result = new CheckResult();
        }
        decoder.decode(record.value(), result);
        out.collect(result);
    }

    @Override
    public TypeInformation<CheckResult> getProducedType() {
        return TypeInformation.of(CheckResult.class);
    }
}
