//! Little-endian fields of a checkpoint.

/// Appends the fields of a checkpoint to its bytes.
#[derive(Debug, Default)]
pub struct Writer {
    /// What was written.
    pub bytes: Vec<u8>,
}

impl Writer {
    /// Appends one byte.
    pub fn u8(&mut self, v: u8) {
        self.bytes.push(v);
    }

    /// Appends 4 bytes, little-endian.
    pub fn u32(&mut self, v: u32) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }

    /// Appends 8 bytes, little-endian.
    pub fn u64(&mut self, v: u64) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }

    /// 8 bytes, two's complement.
    pub fn i64(&mut self, v: i64) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }

    /// 8 bytes, IEEE bits.
    pub fn f64(&mut self, v: f64) {
        self.u64(v.to_bits());
    }

    /// Count (u32), then the values.
    pub fn f64s(&mut self, values: &[f64]) {
        self.u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
        self.bytes.reserve(values.len() * 8);
        for v in values {
            self.f64(*v);
        }
    }

    /// Count (u32), then the bytes.
    pub fn text(&mut self, text: &str) {
        self.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

/// The bytes ended early, or a count cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint's content does not fit its graph at byte {at}")]
pub struct Malformed {
    /// Offset in the body.
    pub at: usize,
}

/// Takes fields back in order.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// An error at the current place.
    #[must_use]
    pub const fn malformed(&self) -> Malformed {
        Malformed { at: self.at }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..n).ok_or_else(|| self.malformed())?;
        self.at += n;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let here = self.malformed();
        self.take(N)?.try_into().map_err(|_| here)
    }

    /// One byte.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// 4 bytes.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// 8 bytes.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// 8 bytes, two's complement.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// 8 bytes, IEEE bits.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn f64(&mut self) -> Result<f64, Malformed> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// A counted list.
    ///
    /// # Errors
    /// When the bytes end.
    pub fn f64s(&mut self) -> Result<Vec<f64>, Malformed> {
        let count = self.u32()? as usize;
        let raw = self.take(count.checked_mul(8).ok_or_else(|| self.malformed())?)?;
        let (words, _) = raw.as_chunks::<8>();
        Ok(words.iter().map(|w| f64::from_le_bytes(*w)).collect())
    }

    /// A counted text.
    ///
    /// # Errors
    /// When the bytes end or are not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let count = self.u32()? as usize;
        let here = self.malformed();
        std::str::from_utf8(self.take(count)?).map_err(|_| here)
    }

    /// Everything must have been taken.
    ///
    /// # Errors
    /// When bytes are left.
    pub const fn finish(self) -> Result<(), Malformed> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.malformed()) }
    }
}
