//! Every kind of column against arrow-pg, whose bytes are the right ones.

use arrow::array::{
    BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, LargeStringArray, ListArray, NullArray, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{Int32Type, Int64Type, Schema};
use pgwire::api::portal::Format;

use super::*;
use crate::encode::fields;

/// Before 1970, before 2000, in years that are not ours, leap days, and none at all.
const SECONDS: [i64; 12] = [
    0,
    -1,
    1,
    946_684_800,
    946_684_799,
    951_782_400,
    951_868_799,
    -2_203_891_200,
    253_402_300_799,
    253_402_300_800,
    -62_135_596_800,
    -62_135_596_801,
];

fn times(per_second: i64) -> Vec<Option<i64>> {
    let parts = [0, 1, per_second / 2, per_second - 1];
    let all = SECONDS.iter().flat_map(|second| parts.map(|part| second.checked_mul(per_second).map(|at| at + part)));
    all.chain([None, Some(1_795_339_800 * per_second)]).collect()
}

fn stamps(zone: Option<&str>) -> Vec<ArrayRef> {
    let zone = || zone.map(Arc::<str>::from);
    vec![
        Arc::new(TimestampSecondArray::from(times(1)).with_timezone_opt(zone())),
        Arc::new(TimestampMillisecondArray::from(times(1_000)).with_timezone_opt(zone())),
        Arc::new(TimestampMicrosecondArray::from(times(1_000_000)).with_timezone_opt(zone())),
        Arc::new(TimestampNanosecondArray::from(times(1_000_000_000)).with_timezone_opt(zone())),
    ]
}

fn columns() -> Vec<ArrayRef> {
    let texts =
        [Some("a"), None, Some(""), Some("two words"), Some("日本語 \u{1f4be}"), Some("\"quoted\", \\ and\n{so on}")];
    let floats =
        [0.0, -0.0, 1.0, 0.1, -1.5, 1e300, 5e-324, f64::MAX, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e15, 1e16];
    let names: DictionaryArray<Int32Type> = texts.into_iter().collect();
    let hollow = StringArray::from(vec![Some("x"), None]);
    let hollow = DictionaryArray::<Int32Type>::new(Int32Array::from(vec![Some(0), Some(1), None]), Arc::new(hollow));
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None, Some(Vec::new())]);
    let mut all: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        Arc::new(Int8Array::from(vec![Some(i8::MIN), Some(i8::MAX), None])),
        Arc::new(Int16Array::from(vec![Some(i16::MIN), Some(i16::MAX), None, Some(0)])),
        Arc::new(Int32Array::from(vec![Some(i32::MIN), Some(i32::MAX), None, Some(-1)])),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None, Some(7)])),
        Arc::new(UInt8Array::from(vec![Some(u8::MAX), None])),
        Arc::new(UInt16Array::from(vec![Some(u16::MAX), None])),
        Arc::new(UInt32Array::from(vec![Some(u32::MAX), None])),
        Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])),
        Arc::new(Float64Array::from_iter(floats.map(Some).into_iter().chain([None]))),
        Arc::new(Float32Array::from_iter(floats.map(|value| Some(value as f32)).into_iter().chain([None]))),
        Arc::new(Decimal128Array::from(vec![Some(12_345), None, Some(-1)])),
        Arc::new(StringArray::from_iter(texts)),
        Arc::new(LargeStringArray::from_iter(texts)),
        Arc::new(StringViewArray::from_iter(texts)),
        Arc::new(BinaryArray::from_iter([Some(&b"\x00\xff"[..]), None, Some(&b""[..])])),
        Arc::new(Date32Array::from(vec![
            Some(0),
            Some(-1),
            Some(10_957),
            Some(11_016),
            None,
            Some(-800_000),
            Some(i32::MAX),
        ])),
        Arc::new(names),
        Arc::new(hollow),
        Arc::new(lists),
        Arc::new(NullArray::new(2)),
    ];
    for zone in [None, Some("UTC"), Some("Asia/Tokyo"), Some("Asia/Kolkata"), Some("America/New_York"), Some("-03:30")]
    {
        all.extend(stamps(zone));
    }
    all
}

fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let field = |(at, column): (usize, &ArrayRef)| Field::new(format!("c{at}"), column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn by_arrow_pg(batch: &RecordBatch, fields: &Arc<Vec<FieldInfo>>) -> Vec<u8> {
    let mut encoder = DataRowEncoder::new(fields.clone());
    let mut all = Vec::new();
    for row in 0..batch.num_rows() {
        for (at, column) in batch.columns().iter().enumerate() {
            encode_value(&mut encoder, column, row, batch.schema_ref().field(at), &fields[at]).unwrap();
        }
        let data = encoder.take_row();
        all.push(b'D');
        all.extend_from_slice(&u32::try_from(data.data.len() + 6).unwrap().to_be_bytes());
        all.extend_from_slice(&data.field_count.to_be_bytes());
        all.extend_from_slice(&data.data);
    }
    all
}

fn by_us(batch: &RecordBatch, fields: &Arc<Vec<FieldInfo>>, full: usize) -> Vec<u8> {
    let mut rows = DataRows::new(batch, fields).unwrap();
    let (mut all, mut at) = (Vec::new(), 0);
    while at < rows.rows() {
        let mut piece = Vec::new();
        at = rows.write(at, &mut piece, full).unwrap();
        all.append(&mut piece);
    }
    all
}

#[test]
fn every_kind_of_column_has_the_bytes_of_arrow_pg_in_both_forms() {
    for column in columns() {
        let batch = batch(vec![column]);
        for format in [Format::UnifiedText, Format::UnifiedBinary] {
            let of = batch.schema_ref().field(0).data_type();
            let fields = fields(batch.schema_ref(), &format).unwrap();
            for part in [batch.clone(), batch.slice(1, batch.num_rows() - 1)] {
                assert_eq!(by_us(&part, &fields, usize::MAX), by_arrow_pg(&part, &fields), "{of} as {format:?}");
            }
        }
    }
}

#[test]
fn columns_stand_side_by_side_in_forms_of_their_own_and_pieces_end_between_rows() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter((0..100).map(|n| (n % 7 > 0).then_some(n))));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|n| "x".repeat(n))));
    let lists: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>((0..100).map(|n| Some(vec![Some(n), None]))));
    let batch = batch(vec![numbers.clone(), texts, lists, numbers]);
    let fields = fields(batch.schema_ref(), &Format::Individual(vec![1, 0, 0, 0])).unwrap();
    let whole = by_arrow_pg(&batch, &fields);
    for full in [1, 100, 1_000, usize::MAX] {
        assert_eq!(by_us(&batch, &fields, full), whole, "in pieces of {full}");
    }
}

#[test]
fn what_only_the_metadata_tells_is_left_to_arrow_pg() {
    let letters: ArrayRef = Arc::new(StringArray::from(vec!["r", "v"]));
    let info = FieldInfo::new("relkind".into(), None, None, pgwire::api::Type::CHAR, FieldFormat::Binary);
    for (key, here) in [("pg.char", false), ("ARROW:extension:name", false), ("PARQUET:field_id", true)] {
        let metadata = [(key.to_owned(), "true".to_owned())].into();
        let field = Field::new("relkind", DataType::Utf8, false).with_metadata(metadata);
        assert_eq!(put(&letters, &field, &info).is_some(), here, "{key}");
    }
}
