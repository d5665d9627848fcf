//! The parameters that a plan gives to a built-in service.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::SiteError;

/// Reads an object of parameters; `null` means that all have their defaults. Ranges are the service's own affair.
///
/// # Errors
/// [`SiteError::Options`] names the parameter that is unknown or of the wrong type.
pub fn read<T: Default + DeserializeOwned>(params: &Value) -> Result<T, SiteError> {
    match params {
        Value::Null => Ok(T::default()),
        Value::Object(_) => T::deserialize(params).map_err(|error| SiteError::Options(error.to_string())),
        // A sequence would be read field by field, in their order: nobody means that.
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(SiteError::Options("they are no object".to_owned()))
        }
    }
}
