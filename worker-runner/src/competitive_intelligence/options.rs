//! What a plan can say about competitors.

use hermes_core::Domain;
use hermes_core::ports::http::Reach;
use serde::Deserialize;
use serde_json::Value;

use super::stop_list::STOP_LIST;
use crate::site::SiteError;
use crate::site::params;

/// Most competitors that are compared with.
pub const COMPETITORS_MAX: usize = 5;
/// Most entries of a list of domains that are no competitors.
const STOP_LIST_MAX: usize = 500;

/// Who is compared with. Read from the `params` of a service in a plan:
///
/// ```yaml
/// params: { competitors: [rival.example, other.example] }
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompareOptions {
    /// Sites to compare with, at most [`COMPETITORS_MAX`]; those that rank for the same queries without.
    pub competitors: Vec<Domain>,
    /// Domains that are no competitors, besides those of the stop list.
    pub ignore: Vec<String>,
    /// The stop list, where it is to be another one than [`STOP_LIST`].
    pub stop_list: Option<Vec<String>>,
    /// Which addresses may be reached. Not a parameter of the plan: the operator decides.
    #[serde(skip, default = "public")]
    pub reach: Reach,
}

fn public() -> Reach {
    Reach::Public
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { competitors: Vec::new(), ignore: Vec::new(), stop_list: None, reach: Reach::Public }
    }
}

impl CompareOptions {
    /// Reads the parameters of a plan; `null` means that all have their defaults.
    ///
    /// # Errors
    /// [`SiteError::Options`] names the parameter that is unknown or out of its range.
    pub fn from_params(params: &Value, reach: Reach) -> Result<Self, SiteError> {
        let mut options: Self = params::read(params)?;
        options.reach = reach;
        let wrong = |text: String| Err(SiteError::Options(text));
        if options.competitors.len() > COMPETITORS_MAX {
            return wrong(format!("competitors must be at most {COMPETITORS_MAX}, not {}", options.competitors.len()));
        }
        for list in [Some(&options.ignore), options.stop_list.as_ref()].into_iter().flatten() {
            if list.len() > STOP_LIST_MAX || list.iter().any(|entry| entry.trim().is_empty()) {
                return wrong(format!("ignore and stop_list must be at most {STOP_LIST_MAX} domains"));
            }
        }
        Ok(options)
    }

    /// The domains that are no competitors, in small letters.
    #[must_use]
    pub fn not_competitors(&self) -> Vec<String> {
        let usual = || STOP_LIST.iter().map(|entry| (*entry).to_owned()).collect();
        let list = self.stop_list.clone().unwrap_or_else(usual);
        list.iter().chain(&self.ignore).map(|entry| entry.trim().to_ascii_lowercase()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_unknown_or_out_of_range_is_named() {
        for (params, word) in [
            (json!({"competitor": []}), "competitor"),
            (json!({"competitors": ["a.test", "b.test", "c.test", "d.test", "e.test", "f.test"]}), "at most 5"),
            (json!({"competitors": ["no site"]}), "no site"),
            (json!({"ignore": [""]}), "ignore"),
        ] {
            let error = CompareOptions::from_params(&params, Reach::Public).expect_err("wrong");
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn the_stop_list_can_be_added_to_and_replaced() {
        let list =
            |params: Value| CompareOptions::from_params(&params, Reach::Public).expect("valid").not_competitors();
        assert_eq!(list(json!({"ignore": ["Partner.test"]})).len(), STOP_LIST.len() + 1);
        assert_eq!(list(json!({"ignore": ["Partner.test"], "stop_list": []})), ["partner.test"]);
    }
}
