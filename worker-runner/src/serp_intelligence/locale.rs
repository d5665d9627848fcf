//! From which country and in which language is searched: as the plan says, else as the site looks.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

mod countries;

/// Where nothing tells anything.
const COUNTRY_USUAL: &str = "US";
/// Where nothing tells anything.
const LANGUAGE_USUAL: &str = "en";
/// Top-level domains that are countries' and are registered from everywhere.
const NOT_MEANT_AS_COUNTRIES: &[&str] =
    &["ai", "cc", "co", "fm", "gg", "im", "io", "is", "la", "ly", "me", "sh", "so", "to", "tv", "vc", "ws"];
/// The country in which most searchers of a language are.
const MAIN_COUNTRIES: &[(&str, &str)] = &[
    ("cs", "CZ"),
    ("da", "DK"),
    ("de", "DE"),
    ("en", "US"),
    ("es", "ES"),
    ("fi", "FI"),
    ("fr", "FR"),
    ("hu", "HU"),
    ("it", "IT"),
    ("ja", "JP"),
    ("ko", "KR"),
    ("nl", "NL"),
    ("no", "NO"),
    ("pl", "PL"),
    ("pt", "BR"),
    ("ro", "RO"),
    ("ru", "RU"),
    ("sv", "SE"),
    ("tr", "TR"),
    ("uk", "UA"),
];

/// From where and in which language is searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locale {
    /// ISO 3166-1, two capital letters; `None` where nothing tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// ISO 639-1, two small letters.
    pub language: String,
    /// Who said so: `plan`, `site` or `assumed`.
    pub origin: String,
}

impl Locale {
    /// `country` and `language` are what the plan says; `lang` is what the home page declares, `detected` the language of
    /// its text, `home` its address.
    #[must_use]
    pub fn find(
        country: Option<&str>,
        language: Option<&str>,
        lang: Option<&str>,
        detected: Option<&str>,
        home: Option<&Url>,
    ) -> Self {
        let declared = lang.map(|tag| tag.split(['-', '_']).collect::<Vec<_>>()).unwrap_or_default();
        let declared_language = declared.first().map(|code| code.to_ascii_lowercase()).filter(|code| code.len() == 2);
        let declared_country = declared
            .iter()
            .skip(1)
            .map(|code| code.to_ascii_uppercase())
            .find(|code| countries::number(code).is_some());
        let seen = declared_language.or_else(|| detected.map(str::to_owned));
        let top_country = home.and_then(country_of_domain);
        let origin = match (language, country, &seen) {
            (Some(_), Some(_), _) => "plan",
            (None, None, None) if top_country.is_none() => "assumed",
            _ => "site",
        };
        let language = language.map(str::to_ascii_lowercase).or(seen).unwrap_or_else(|| LANGUAGE_USUAL.to_owned());
        let main = MAIN_COUNTRIES.iter().find(|(code, _)| *code == language).map(|(_, country)| (*country).to_owned());
        let country = country.map(str::to_ascii_uppercase).or(declared_country).or(top_country).or(main);
        Self { country, language, origin: origin.to_owned() }
    }

    /// The country, the usual one where nothing tells: some providers need one.
    #[must_use]
    pub fn country_or_default(&self) -> &str {
        self.country.as_deref().unwrap_or(COUNTRY_USUAL)
    }

    /// The number of the country in ISO 3166-1.
    #[must_use]
    pub fn country_number(&self) -> u16 {
        let usual = || countries::number(COUNTRY_USUAL).expect("the usual country is in the list");
        countries::number(self.country_or_default()).unwrap_or_else(usual)
    }
}

/// Whether there is such a country: two letters of ISO 3166-1, in any case.
#[must_use]
pub fn is_country(code: &str) -> bool {
    countries::number(&code.to_ascii_uppercase()).is_some()
}

fn country_of_domain(home: &Url) -> Option<String> {
    let Some(Host::Domain(host)) = home.host() else { return None };
    let top = host.rsplit('.').next()?;
    let code = if top == "uk" { "GB".to_owned() } else { top.to_ascii_uppercase() };
    (!NOT_MEANT_AS_COUNTRIES.contains(&top) && countries::number(&code).is_some()).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lang: Option<&str>, detected: Option<&str>, home: &str) -> (Option<String>, String, String) {
        let home = Url::parse(home).expect("valid");
        let locale = Locale::find(None, None, lang, detected, Some(&home));
        (locale.country, locale.language, locale.origin)
    }

    fn expected(country: &str, language: &str, origin: &str) -> (Option<String>, String, String) {
        (Some(country.to_owned()), language.to_owned(), origin.to_owned())
    }

    #[test]
    fn the_site_tells_where_it_is_searched() {
        assert_eq!(found(Some("de-AT"), Some("de"), "https://a.com/"), expected("AT", "de", "site"));
        assert_eq!(found(Some("zh-Hant-TW"), None, "https://a.com/"), expected("TW", "zh", "site"));
        assert_eq!(found(None, Some("de"), "https://a.ch/"), expected("CH", "de", "site"));
        assert_eq!(found(None, None, "https://a.co.uk/"), expected("GB", "en", "site"));
        assert_eq!(found(None, Some("fr"), "https://a.io/"), expected("FR", "fr", "site"));
        assert_eq!(found(None, None, "https://a.io/"), expected("US", "en", "assumed"));
        assert_eq!(found(None, Some("la"), "http://127.0.0.1/"), (None, "la".into(), "site".into()));
    }

    #[test]
    fn the_plan_goes_before_the_site() {
        let locale = Locale::find(Some("at"), Some("DE"), Some("en-US"), None, None);
        assert_eq!((locale.country_or_default(), locale.language.as_str(), locale.country_number()), ("AT", "de", 40));
        assert_eq!(locale.origin, "plan");
    }
}
