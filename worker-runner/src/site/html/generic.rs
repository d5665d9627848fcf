//! Link texts that say nothing about their target, by language.
//!
//! Which phrases count is documented with Lighthouse's audit `link-text`
//! (<https://developer.chrome.com/docs/lighthouse/seo/link-text/>); only they count here, so that both agree.

/// Longest phrase in bytes, and some.
pub(super) const BYTES_MAX: usize = 100;

const ENGLISH: &[&str] = &[
    "click here",
    "click this",
    "go",
    "here",
    "information",
    "learn more",
    "more",
    "more info",
    "more information",
    "read more",
    "right here",
    "see more",
    "start",
    "this",
];
const GERMAN: &[&str] = &["das", "dies", "hier", "hier klicken", "klicke hier", "mehr", "siehe", "weiterlesen"];
const JAPANESE: &[&str] = &["ここをクリック", "こちらをクリック", "リンク", "全文表示", "続きを読む", "続く"];
const KOREAN: &[&str] = &["계속", "링크", "여기", "여기를 클릭", "이동", "자세히", "자세히 보기", "전체 보기", "클릭"];
const PERSIAN: &[&str] = &[
    "اطلاعات",
    "اطلاعات بیشتر",
    "این",
    "اینجا",
    "اینجا بزنید",
    "اینجا کلیک کنید",
    "برو",
    "بیشتر",
    "بیشتر بخوانید",
    "بیشتر بدانید",
    "شروع",
];
const PORTUGUESE: &[&str] = &["clique aqui", "ir", "mais", "mais informação", "mais informações", "veja mais"];
const SPANISH: &[&str] = &[
    "aqui",
    "aquí",
    "click aqui",
    "click aquí",
    "clicka aqui",
    "clicka aquí",
    "empezar",
    "enlace",
    "este",
    "este enlace",
    "mas",
    "mas informacion",
    "mas información",
    "más",
    "más informacion",
    "más información",
    "pincha aqui",
    "pincha aquí",
];
const SWEDISH: &[&str] = &["här", "klicka här", "läs mer", "mer", "mer info", "mer information"];
const TAMIL: &[&str] = &[
    "அடுத்த பக்கம்",
    "இங்கே கிளிக் செய்யவும்",
    "தயவுசெய்து இங்கே அழுத்தவும்",
    "மறுபக்கம்",
    "முந்தைய பக்கம்",
    "முன்பக்கம்",
    "மேலும் அறிக",
    "மேலும் தகவலுக்கு",
    "மேலும் தரவுகளுக்கு",
];
/// Each language with its phrases.
const LANGUAGES: [(&str, &[&str]); 9] = [
    ("de", GERMAN),
    ("en", ENGLISH),
    ("es", SPANISH),
    ("fa", PERSIAN),
    ("ja", JAPANESE),
    ("ko", KOREAN),
    ("pt", PORTUGUESE),
    ("sv", SWEDISH),
    ("ta", TAMIL),
];

/// Whether a text in lower case says nothing in its language, or in any where that is not known.
pub(super) fn is_generic(text: &str, lang: Option<&str>) -> bool {
    let primary = lang.map(|lang| lang.split('-').next().unwrap_or_default());
    let mut candidates = LANGUAGES.iter().filter(|(language, _)| primary.is_none_or(|primary| primary == *language));
    candidates.any(|(_, phrases)| phrases.contains(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_counts_in_its_own_language_or_where_none_is_declared() {
        assert!(is_generic("hier", Some("de-AT")) && is_generic("hier", None) && !is_generic("hier", Some("en")));
        assert!(is_generic("learn more", Some("en-US")) && !is_generic("learn more about us", None));
        assert!(!is_generic("ici", Some("fr")), "a language without a list has no generic texts");
    }

    #[test]
    fn no_phrase_is_longer_than_what_is_compared() {
        let longest = LANGUAGES.iter().flat_map(|(_, phrases)| phrases.iter()).map(|phrase| phrase.len()).max();
        assert!(longest < Some(BYTES_MAX));
    }
}
