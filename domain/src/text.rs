//! Lengths and characters of what people write.

use crate::problem::FieldError;

/// A message's text: 1 to 4,000 scalar values as sent, not only white space.
///
/// # Errors
/// `too-short` or `too-long`, with the limits.
pub fn check_text(pointer: &str, text: &str) -> Result<(), FieldError> {
    if text.trim().is_empty() {
        return Err(FieldError::new(pointer, "too-short").with("min", 1));
    }
    if text.chars().count() > 4_000 {
        return Err(FieldError::new(pointer, "too-long").with("max", 4_000));
    }
    Ok(())
}
