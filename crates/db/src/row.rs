//! Taking values out of rows, with the types that the rest of the program uses.

use crate::DbError;
use playhead_model::WallTime;
use sqlx::{Row as _, any::AnyRow};
use std::str::FromStr;

/// Typed access to a row's columns.
pub trait RowExt {
    /// A text.
    ///
    /// # Errors
    /// No such column, or another type.
    fn text(&self, column: &'static str) -> Result<String, DbError>;
    /// A text or null.
    ///
    /// # Errors
    /// No such column, or another type.
    fn text_or_null(&self, column: &'static str) -> Result<Option<String>, DbError>;
    /// A number that may be negative.
    ///
    /// # Errors
    /// No such column, or another type.
    fn integer(&self, column: &'static str) -> Result<i64, DbError>;
    /// A number or null.
    ///
    /// # Errors
    /// No such column, or another type.
    fn integer_or_null(&self, column: &'static str) -> Result<Option<i64>, DbError>;
    /// A count or size.
    ///
    /// # Errors
    /// No such column, another type, or a negative number.
    fn count(&self, column: &'static str) -> Result<u64, DbError>;
    /// A count that fits 32 bits.
    ///
    /// # Errors
    /// No such column, another type, or a number beyond 32 bits.
    fn small(&self, column: &'static str) -> Result<u32, DbError>;
    /// A time.
    ///
    /// # Errors
    /// No such column, or another type.
    fn time(&self, column: &'static str) -> Result<WallTime, DbError>;
    /// A time or null.
    ///
    /// # Errors
    /// No such column, or another type.
    fn time_or_null(&self, column: &'static str) -> Result<Option<WallTime>, DbError>;
    /// A text that reads as `T`; `expected` says what that is.
    ///
    /// # Errors
    /// No such column, another type, or a text that does not read.
    fn parsed<T: FromStr>(&self, column: &'static str, expected: &'static str) -> Result<T, DbError>;
    /// Like [`RowExt::parsed`], or null.
    ///
    /// # Errors
    /// Those of [`RowExt::parsed`].
    fn parsed_or_null<T: FromStr>(
        &self,
        column: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, DbError>;
}

impl RowExt for AnyRow {
    fn text(&self, column: &'static str) -> Result<String, DbError> {
        Ok(self.try_get(column)?)
    }

    fn text_or_null(&self, column: &'static str) -> Result<Option<String>, DbError> {
        Ok(self.try_get(column)?)
    }

    fn integer(&self, column: &'static str) -> Result<i64, DbError> {
        Ok(self.try_get(column)?)
    }

    fn integer_or_null(&self, column: &'static str) -> Result<Option<i64>, DbError> {
        Ok(self.try_get(column)?)
    }

    fn count(&self, column: &'static str) -> Result<u64, DbError> {
        u64::try_from(self.integer(column)?).map_err(|_| DbError::Content { column, expected: "count" })
    }

    fn small(&self, column: &'static str) -> Result<u32, DbError> {
        u32::try_from(self.integer(column)?).map_err(|_| DbError::Content { column, expected: "count" })
    }

    fn time(&self, column: &'static str) -> Result<WallTime, DbError> {
        Ok(WallTime::from_micros(self.integer(column)?))
    }

    fn time_or_null(&self, column: &'static str) -> Result<Option<WallTime>, DbError> {
        Ok(self.integer_or_null(column)?.map(WallTime::from_micros))
    }

    fn parsed<T: FromStr>(&self, column: &'static str, expected: &'static str) -> Result<T, DbError> {
        self.text(column)?.parse().map_err(|_| DbError::Content { column, expected })
    }

    fn parsed_or_null<T: FromStr>(
        &self,
        column: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, DbError> {
        let text = self.text_or_null(column)?;
        text.map(|text| text.parse()).transpose().map_err(|_| DbError::Content { column, expected })
    }
}

/// Numbers as the database keeps them.
pub trait Content {
    /// As a signed 64-bit integer; what does not fit becomes the greatest.
    fn stored(self) -> i64;
}

impl Content for u64 {
    fn stored(self) -> i64 {
        i64::try_from(self).unwrap_or(i64::MAX)
    }
}
