//! A value in a file of its own, as Docker and Kubernetes mount secrets.

use std::fs::File;
use std::io::Read as _;

use super::SecretsError;

/// Bytes that a value may have: more than any key, and than any file that somebody named by mistake should cost.
const FILE_BYTES_MAX: u64 = 64 * 1_024;

/// The content of the file that `variable` names.
pub(super) fn read(variable: &str, path: &str) -> Result<String, SecretsError> {
    let problem =
        |problem: String| SecretsError::File { variable: variable.to_owned(), path: path.to_owned(), problem };
    let file = File::open(path).map_err(|error| problem(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| problem(error.to_string()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(problem(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    // The library's own text would quote nothing, but it would carry the bytes.
    let text = String::from_utf8(bytes).map_err(|_| problem("it is no UTF-8 text".to_owned()))?;
    if text.trim().is_empty() {
        return Err(problem("it is empty".to_owned()));
    }
    Ok(text)
}
