//! What kernels write into a checkpoint and take back: values in postcard, one after the other.

use serde::{Deserialize, Serialize};

/// Appends values to the bytes of a checkpoint.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Continues after `head`.
    #[must_use]
    pub const fn after(head: Vec<u8>) -> Self {
        Self { bytes: head }
    }

    /// Appends a value.
    ///
    /// # Errors
    /// When serde cannot say how long it is; no kernel holds such a value.
    pub fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), postcard::Error> {
        self.bytes = postcard::to_extend(value, std::mem::take(&mut self.bytes))?;
        Ok(())
    }

    /// Everything that was written, the head included.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// The bytes ended early, or a value cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint's content does not fit its graph at byte {at}")]
pub struct Malformed {
    /// Offset in the body.
    pub at: usize,
}

/// Takes values back in the order in which they were put.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len() }
    }

    /// An error at the current place.
    #[must_use]
    pub const fn malformed(&self) -> Malformed {
        Malformed { at: self.len - self.rest.len() }
    }

    /// The next value.
    ///
    /// # Errors
    /// When the bytes end or hold no such value.
    pub fn take<T: Deserialize<'a>>(&mut self) -> Result<T, Malformed> {
        let (value, rest) = postcard::take_from_bytes(self.rest).map_err(|_| self.malformed())?;
        self.rest = rest;
        Ok(value)
    }

    /// Everything must have been taken.
    ///
    /// # Errors
    /// When bytes are left.
    pub const fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }
}
