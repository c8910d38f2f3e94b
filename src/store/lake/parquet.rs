//! Writing and reading parquet files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use super::{LakeError, content_sha256, write_atomically};

/// Metadata key under which the writer itself keeps the columns' types.
const ARROW_SCHEMA: &str = "ARROW:schema";
/// Metadata key: what the columns are, such as `ohlcv/1`.
pub const SCHEMA_KEY: &str = "backtestd.schema";
/// Metadata key: [`content_sha256`] of the rows.
pub(super) const CONTENT_SHA256: &str = "backtestd.content_sha256";
/// Metadata key: SHA-256 of all other metadata of the file.
pub(super) const METADATA_SHA256: &str = "backtestd.metadata_sha256";
/// Most rows in a row group.
pub(super) const ROW_GROUP_ROWS: usize = 128 * 1024;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Number of rows written.
    pub rows: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// Content hash, as in the metadata.
    pub content_sha256: String,
}

/// A file read back.
#[derive(Clone, Debug)]
pub struct ParquetTable {
    /// Names and types of the columns.
    pub schema: SchemaRef,
    /// Rows, in batches.
    pub batches: Vec<RecordBatch>,
    /// Key-value metadata of the file.
    pub metadata: BTreeMap<String, String>,
}

/// Writes a parquet file whole or not at all; `metadata` should hold [`SCHEMA_KEY`], the content hash is
/// added. The caller has sorted the rows. The same rows and metadata give the same bytes.
///
/// # Errors
/// When a batch does not have the schema, a column type is not covered by content hashes, or the disk
/// refuses.
pub fn write_parquet(
    path: &Path,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    metadata: &BTreeMap<String, String>,
) -> Result<Written, LakeError> {
    let fail = |e: &dyn std::fmt::Display| LakeError::format(path, e);
    // One batch, so that page boundaries do not depend on how the caller batched.
    let whole = arrow::compute::concat_batches(schema, batches).map_err(|e| fail(&e))?;
    let content_sha256 = content_sha256(std::slice::from_ref(&whole))?;
    let mut pairs = metadata.clone();
    pairs.insert(CONTENT_SHA256.to_owned(), content_sha256.clone());
    pairs.insert(METADATA_SHA256.to_owned(), metadata_sha256(&pairs));
    let bytes = write_atomically(path, |file| {
        encode(path, &mut *file, &whole, pairs)?;
        file.metadata().map(|m| m.len()).map_err(|source| LakeError::Io { path: path.to_owned(), source })
    })?;
    Ok(Written { rows: whole.num_rows(), bytes, content_sha256 })
}

fn encode(
    path: &Path,
    to: impl Write + Send,
    rows: &RecordBatch,
    metadata: BTreeMap<String, String>,
) -> Result<(), LakeError> {
    let fail = |e: &dyn std::fmt::Display| LakeError::format(path, e);
    let pairs = metadata.into_iter().map(|(k, v)| KeyValue::new(k, v)).collect();
    let mut properties = WriterProperties::builder();
    for field in rows.schema().fields().iter().filter(|field| field.data_type().is_floating()) {
        // Numbers that hardly ever repeat: a dictionary of them is work for nothing.
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(field.name().as_str()), false);
    }
    let properties = properties
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(|e| fail(&e))?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by("backtestd".to_owned())
        .set_key_value_metadata(Some(pairs))
        .build();
    let mut writer = ArrowWriter::try_new(to, rows.schema(), Some(properties)).map_err(|e| fail(&e))?;
    writer.write(rows).map_err(|e| fail(&e))?;
    writer.close().map_err(|e| fail(&e))?;
    Ok(())
}

/// The bytes that [`write_parquet`] would write for the rows and metadata of a file: those of the file
/// itself, unless it was altered or written by another version.
///
/// # Errors
/// When the file is not there or damaged.
pub fn parquet_bytes(path: &Path) -> Result<Vec<u8>, LakeError> {
    let mut table = read_parquet(path)?;
    // The writer adds the schema itself.
    table.metadata.remove(ARROW_SCHEMA);
    // What is read carries the file's metadata in its schema; what was written did not.
    let schema = Arc::new(Schema::new(table.schema.fields().clone()));
    let whole =
        arrow::compute::concat_batches(&schema, &table.batches).map_err(|e| LakeError::format(path, e))?;
    let mut bytes = Vec::new();
    encode(path, &mut bytes, &whole, table.metadata)?;
    Ok(bytes)
}

/// Writes a file anew with one pair of its metadata changed: the bytes that its rows would have been written
/// to under that metadata.
///
/// # Errors
/// When the file is not there or damaged, or the disk refuses.
pub fn restamp_parquet(path: &Path, key: &str, value: &str) -> Result<Written, LakeError> {
    let mut table = read_parquet(path)?;
    for own in [ARROW_SCHEMA, CONTENT_SHA256, METADATA_SHA256] {
        table.metadata.remove(own);
    }
    table.metadata.insert(key.to_owned(), value.to_owned());
    let schema = Arc::new(Schema::new(table.schema.fields().clone()));
    let plain = |batch: &RecordBatch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec());
    let batches = table.batches.iter().map(plain).collect::<Result<Vec<_>, _>>();
    let batches = batches.map_err(|e| LakeError::format(path, e))?;
    write_parquet(path, &schema, &batches, &table.metadata)
}

/// Reads a parquet file whole.
///
/// # Errors
/// When the file is not there or damaged.
pub fn read_parquet(path: &Path) -> Result<ParquetTable, LakeError> {
    // The decoder panics over some damaged pages: a dictionary that is announced and does not come.
    std::panic::catch_unwind(|| read_sound(path))
        .unwrap_or_else(|_| Err(LakeError::format(path, "the decoder gave up: the file is damaged")))
}

fn read_sound(path: &Path) -> Result<ParquetTable, LakeError> {
    let fail = |e: &dyn std::fmt::Display| LakeError::format(path, e);
    let file = File::open(path).map_err(|source| LakeError::Io { path: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| fail(&e))?;
    let pairs = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let metadata = pairs.into_iter().filter_map(|kv| Some((kv.key, kv.value?))).collect();
    let schema = builder.schema().clone();
    let reader = builder.with_batch_size(ROW_GROUP_ROWS).build().map_err(|e| fail(&e))?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|e| fail(&e))?;
    Ok(ParquetTable { schema, batches, metadata })
}

/// The key-value metadata of a file, without its rows.
///
/// # Errors
/// When the file is not there or damaged.
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>, LakeError> {
    let file = File::open(path).map_err(|source| LakeError::Io { path: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| LakeError::format(path, e))?;
    let pairs = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    Ok(pairs.into_iter().filter_map(|kv| Some((kv.key, kv.value?))).collect())
}

/// The content hash that a file's metadata states; `None` when it states none.
///
/// # Errors
/// When the file is not there or damaged.
pub fn stated_content_sha256(path: &Path) -> Result<Option<String>, LakeError> {
    Ok(read_metadata(path)?.remove(CONTENT_SHA256))
}

/// Over every pair but its own: name and value, each behind its length.
fn metadata_sha256(pairs: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (name, value) in
        pairs.iter().filter(|(name, _)| !matches!(name.as_str(), METADATA_SHA256 | ARROW_SCHEMA))
    {
        for text in [name, value] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
    backtestd_core::market::hex(&hash.finalize())
}

/// What a file's metadata says its hash is, and what it is.
///
/// # Errors
/// When the file is not there or damaged.
pub fn metadata_hashes(path: &Path) -> Result<(Option<String>, String), LakeError> {
    let pairs = read_metadata(path)?;
    Ok((pairs.get(METADATA_SHA256).cloned(), metadata_sha256(&pairs)))
}

/// Recomputes the content hash of a file and compares it with its metadata; returns the hash.
///
/// # Errors
/// [`LakeError::Altered`] when they differ.
pub fn verify_parquet(path: &Path) -> Result<String, LakeError> {
    let table = read_parquet(path)?;
    // A table without rows is read as no batch at all, and its columns still count.
    let empty = [RecordBatch::new_empty(Arc::clone(&table.schema))];
    let batches = if table.batches.is_empty() { &empty[..] } else { &table.batches };
    let found = content_sha256(batches)?;
    let expected = table.metadata.get(CONTENT_SHA256).cloned().unwrap_or_else(|| "absent".to_owned());
    if found == expected {
        Ok(found)
    } else {
        Err(LakeError::Altered { path: path.to_owned(), expected, found })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{dictionary_column, f64_column, list_column, string_column, table, ts_column};
    use super::*;
    use backtestd_core::market::Ts;

    fn sample(rows: std::ops::Range<i64>) -> RecordBatch {
        let text = |i: i64| if i % 3 == 0 { None } else { Some(if i % 2 == 0 { "low" } else { "high" }) };
        table(vec![
            ("timestamp".to_owned(), ts_column(rows.clone().map(|i| Ts(i * 300_000)))),
            (
                "x".to_owned(),
                f64_column(rows.clone().map(|i| if i % 5 == 0 { f64::NAN } else { i as f64 / 7.0 })),
            ),
            ("label".to_owned(), dictionary_column(rows.clone().map(text))),
            ("name".to_owned(), string_column(rows.clone().map(text))),
            ("why".to_owned(), list_column(rows.map(|i| vec!["a"; (i % 3) as usize]))),
        ])
        .unwrap()
    }

    #[test]
    fn a_table_without_rows_verifies() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty.parquet");
        let none = sample(0..0);
        let metadata = BTreeMap::from([(SCHEMA_KEY.to_owned(), "sample/1".to_owned())]);
        let parts = [none.clone(), none.clone()];
        for batches in [&parts[..0], &parts[..1], &parts[..]] {
            write_parquet(&path, &none.schema(), batches, &metadata).unwrap();
            assert_eq!(verify_parquet(&path).unwrap(), content_sha256(std::slice::from_ref(&none)).unwrap());
            assert_eq!(parquet_bytes(&path).unwrap(), std::fs::read(&path).unwrap());
        }
    }

    #[test]
    fn the_same_rows_in_other_batches_give_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let metadata = BTreeMap::from([(SCHEMA_KEY.to_owned(), "sample/1".to_owned())]);
        let (one, two) = (dir.path().join("deep/one.parquet"), dir.path().join("two.parquet"));
        let whole = sample(0..1000);
        write_parquet(&one, &whole.schema(), std::slice::from_ref(&whole), &metadata).unwrap();
        let parts = [sample(0..17), sample(17..1000)];
        write_parquet(&two, &whole.schema(), &parts, &metadata).unwrap();
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());

        let back = read_parquet(&one).unwrap();
        assert_eq!(back.metadata[SCHEMA_KEY], "sample/1");
        assert_eq!(back.batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1000);
        assert_eq!(verify_parquet(&one).unwrap(), back.metadata[CONTENT_SHA256]);
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "no temporary file stays behind");
    }

    #[test]
    fn a_file_stamped_anew_has_the_bytes_of_one_that_was_written_so() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old.parquet"), dir.path().join("new.parquet"));
        for rows in [0..0, 0..1000] {
            let batch = sample(rows);
            let under = |specs: &str| {
                BTreeMap::from([("specs".to_owned(), specs.to_owned()), ("a".to_owned(), "b".to_owned())])
            };
            let write = |path: &Path, specs: &str| {
                write_parquet(path, &batch.schema(), std::slice::from_ref(&batch), &under(specs)).unwrap()
            };
            write(&old, "then");
            let written = write(&new, "now");
            assert_ne!(std::fs::read(&old).unwrap(), std::fs::read(&new).unwrap());
            assert_eq!(restamp_parquet(&old, "specs", "now").unwrap(), written);
            assert_eq!(std::fs::read(&old).unwrap(), std::fs::read(&new).unwrap());
        }
    }

    #[test]
    fn a_file_whose_content_does_not_match_its_hash_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        let batch = sample(0..10);
        write_parquet(&path, &batch.schema(), std::slice::from_ref(&batch), &BTreeMap::new()).unwrap();
        let table = read_parquet(&path).unwrap();
        let other = sample(1..11);
        // The same metadata over other rows, as a careless copy tool would leave it.
        let file = File::create(&path).unwrap();
        let pairs = table.metadata.iter().map(|(k, v)| KeyValue::new(k.clone(), v.clone())).collect();
        let properties = WriterProperties::builder().set_key_value_metadata(Some(pairs)).build();
        let mut writer = ArrowWriter::try_new(file, other.schema(), Some(properties)).unwrap();
        writer.write(&other).unwrap();
        writer.close().unwrap();
        assert!(matches!(verify_parquet(&path), Err(LakeError::Altered { .. })));
    }
}
