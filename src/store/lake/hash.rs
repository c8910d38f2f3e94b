//! A SHA-256 over content: independent of batches, row groups, compression and encodings.
//!
//! ```text
//! per column   name 0x00 type-name 0x00, then per row: 0x00 null | 0x01 value
//! value        bool 1 byte · integers and timestamps 8 bytes LE · floats 8 bytes LE (f64 bits)
//!              text: length u64 LE, bytes · list of text: length u64 LE, then each item as a row
//! ```

use arrow::array::{
    Array, AsArray, BooleanArray, DictionaryArray, Float32Array, Float64Array, GenericListArray,
    PrimitiveArray, RecordBatch, StringArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Int8Type, Int16Type, Int32Type, Int64Type, TimestampNanosecondType,
    UInt8Type, UInt32Type, UInt64Type,
};
use backtestd_core::market::hex;
use sha2::{Digest, Sha256};

use super::LakeError;

/// SHA-256 of the rows of all batches, lower-case hexadecimal.
///
/// # Errors
/// When a column has a type that no lake file uses.
pub fn content_sha256(batches: &[RecordBatch]) -> Result<String, LakeError> {
    let mut hash = Sha256::new();
    let Some(first) = batches.first() else { return Ok(hex(&hash.finalize())) };
    for (i, field) in first.schema().fields().iter().enumerate() {
        hash.update(field.name());
        hash.update([0]);
        hash.update(type_name(field.data_type()));
        hash.update([0]);
        let mut bytes = Vec::new();
        for batch in batches {
            bytes.clear();
            column(&mut bytes, batch.column(i).as_ref())
                .map_err(|data_type| LakeError::Type { column: field.name().clone(), data_type })?;
            hash.update(&bytes);
        }
    }
    Ok(hex(&hash.finalize()))
}

/// Dictionaries hash as the text they stand for.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Dictionary(_, value) => value.to_string(),
        other => other.to_string(),
    }
}

fn column(out: &mut Vec<u8>, array: &dyn Array) -> Result<(), String> {
    match array.data_type() {
        DataType::Boolean => {
            let a: &BooleanArray = array.as_boolean();
            rows(out, array, |out, i| out.push(u8::from(a.value(i))));
        }
        DataType::Int8 => ints::<Int8Type>(out, array),
        DataType::Int16 => ints::<Int16Type>(out, array),
        DataType::Int32 => ints::<Int32Type>(out, array),
        DataType::Int64 => ints::<Int64Type>(out, array),
        DataType::UInt8 => ints::<UInt8Type>(out, array),
        DataType::UInt32 => ints::<UInt32Type>(out, array),
        DataType::UInt64 => {
            let a: &PrimitiveArray<UInt64Type> = array.as_primitive();
            rows(out, array, |out, i| out.extend_from_slice(&a.value(i).to_le_bytes()));
        }
        DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, _) => {
            ints::<TimestampNanosecondType>(out, array);
        }
        DataType::Float64 => {
            let a: &Float64Array = array.as_primitive();
            rows(out, array, |out, i| out.extend_from_slice(&a.value(i).to_le_bytes()));
        }
        DataType::Float32 => {
            let a: &Float32Array = array.as_primitive();
            rows(out, array, |out, i| out.extend_from_slice(&f64::from(a.value(i)).to_le_bytes()));
        }
        DataType::Utf8 => {
            let a: &StringArray = array.as_string();
            rows(out, array, |out, i| text(out, a.value(i)));
        }
        DataType::Dictionary(_, value) if **value == DataType::Utf8 => {
            let dictionary: &DictionaryArray<Int32Type> =
                array.as_any().downcast_ref().ok_or_else(|| array.data_type().to_string())?;
            let values: &StringArray = dictionary.values().as_string();
            rows(out, array, |out, i| {
                text(out, dictionary.key(i).map_or("", |k| values.value(k)));
            });
        }
        DataType::List(item) if *item.data_type() == DataType::Utf8 => {
            let lists: &GenericListArray<i32> = array.as_list();
            rows(out, array, |out, i| {
                let items = lists.value(i);
                let items: &StringArray = items.as_string();
                out.extend_from_slice(&(items.len() as u64).to_le_bytes());
                rows(out, items, |out, j| text(out, items.value(j)));
            });
        }
        other => return Err(other.to_string()),
    }
    Ok(())
}

fn ints<T: ArrowPrimitiveType>(out: &mut Vec<u8>, array: &dyn Array)
where
    T::Native: Into<i64>,
{
    let a: &PrimitiveArray<T> = array.as_primitive();
    rows(out, array, |out, i| out.extend_from_slice(&Into::<i64>::into(a.value(i)).to_le_bytes()));
}

fn text(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    out.extend_from_slice(value.as_bytes());
}

fn rows(out: &mut Vec<u8>, array: &dyn Array, mut value: impl FnMut(&mut Vec<u8>, usize)) {
    let nulls = array.nulls();
    for i in 0..array.len() {
        let known = nulls.is_none_or(|nulls| nulls.is_valid(i));
        out.push(u8::from(known));
        if known {
            value(out, i);
        }
    }
}
