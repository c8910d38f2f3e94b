//! One table in every container that people keep tables in.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::ipc::{CompressionType, MetadataVersion};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel};
use parquet::file::properties::WriterProperties;

/// Containers of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Gzip,
    Zip,
    Parquet,
    ParquetGzip,
    ParquetBrotli,
    ParquetLz4,
    ParquetSnappy,
    Feather,
    Arrow,
}

impl Format {
    pub(crate) const ALL: [Self; 10] = [
        Self::Csv,
        Self::Gzip,
        Self::Zip,
        Self::Parquet,
        Self::ParquetGzip,
        Self::ParquetBrotli,
        Self::ParquetLz4,
        Self::ParquetSnappy,
        Self::Feather,
        Self::Arrow,
    ];

    pub(crate) const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Gzip => "csv.gz",
            Self::Zip => "zip",
            Self::Feather => "feather",
            Self::Arrow => "ARROW",
            _ => "parquet",
        }
    }
}

/// A table as text.
pub(crate) fn table_of(header: &[&str], rows: &[Vec<String>]) -> String {
    let lines = rows.iter().map(|row| row.join(",") + "\n");
    let header = if header.is_empty() { String::new() } else { header.join(",") + "\n" };
    std::iter::once(header).chain(lines).collect()
}

/// Columns by what their cells are: whole numbers, numbers, else text.
fn batch_of(header: &[&str], rows: &[Vec<String>]) -> RecordBatch {
    let column = |ix: usize| -> ArrayRef {
        let cells = || rows.iter().map(move |row| row[ix].as_str());
        if let Ok(whole) = cells().map(str::parse::<i64>).collect::<Result<Vec<_>, _>>() {
            return Arc::new(Int64Array::from(whole));
        }
        match cells().map(str::parse::<f64>).collect::<Result<Vec<_>, _>>() {
            Ok(numbers) => Arc::new(Float64Array::from(numbers)),
            Err(_) => Arc::new(StringArray::from(cells().collect::<Vec<_>>())),
        }
    };
    let arrays: Vec<ArrayRef> = (0..header.len()).map(column).collect();
    let field = |(name, array): (&&str, &ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let mut fields: Vec<Field> = header.iter().zip(&arrays).map(field).collect();
    let mut arrays = arrays;
    // A nested column that nobody needs.
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![1; rows.len()]));
    let nested =
        arrow::array::StructArray::from(vec![(Arc::new(Field::new("x", DataType::Int64, true)), inner)]);
    fields.push(Field::new("extra", nested.data_type().clone(), true));
    arrays.push(Arc::new(nested));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// Writes a table; a format that needs names of columns gets them.
pub(crate) fn write_table(
    dir: &Path,
    stem: &str,
    format: Format,
    header: &[&str],
    rows: &[Vec<String>],
) -> PathBuf {
    let path = dir.join(format!("{stem}.{}", format.ending()));
    let file = std::fs::File::create(&path).unwrap();
    let text = || table_of(header, rows);
    let parquet = |compression| {
        let batch = batch_of(header, rows);
        let properties = WriterProperties::builder().set_compression(compression).build();
        let mut writer =
            ArrowWriter::try_new(file.try_clone().unwrap(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    let arrow = |compression| {
        let batch = batch_of(header, rows);
        let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5)
            .unwrap()
            .try_with_compression(compression)
            .unwrap();
        let mut writer =
            FileWriter::try_new_with_options(file.try_clone().unwrap(), &batch.schema(), options).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
    };
    match format {
        Format::Csv => (&file).write_all(text().as_bytes()).unwrap(),
        Format::Gzip => {
            let mut out = flate2::write::GzEncoder::new(&file, flate2::Compression::fast());
            out.write_all(text().as_bytes()).unwrap();
            out.finish().unwrap();
        }
        Format::Zip => {
            let mut zip = zip::ZipWriter::new(&file);
            zip.start_file(format!("{stem}.csv"), zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text().as_bytes()).unwrap();
            zip.finish().unwrap();
        }
        Format::Parquet => parquet(Compression::UNCOMPRESSED),
        Format::ParquetGzip => parquet(Compression::GZIP(GzipLevel::default())),
        Format::ParquetBrotli => parquet(Compression::BROTLI(BrotliLevel::default())),
        Format::ParquetLz4 => parquet(Compression::LZ4_RAW),
        Format::ParquetSnappy => parquet(Compression::SNAPPY),
        Format::Feather => arrow(Some(CompressionType::LZ4_FRAME)),
        Format::Arrow => arrow(None),
    }
    path
}
