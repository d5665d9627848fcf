//! Which codes name a language.

/// The two-letter codes of the IANA registry of language subtags (RFC 5646), the superseded ones included.
const TWO_LETTERS: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy \
    da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii \
    ik in io is it iu iw ja ji jv jw ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi \
    mk ml mn mo mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd \
    se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa \
    wo xh yi yo za zh zu";

/// The codes of three letters of the same registry: each word stands for its first two letters followed by each of the
/// others (`gsw` is in `gsaelmopqrstuvw`).
const THREE_LETTERS: &str = include_str!("three_letter_languages.txt");

/// Whether a text is the code of a language, in two or three letters, that is registered.
#[must_use]
pub fn is_language(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    match code.len() {
        2 => TWO_LETTERS.split_ascii_whitespace().any(|known| known == code),
        3 if code.is_ascii() => THREE_LETTERS
            .split_ascii_whitespace()
            .any(|word| word.strip_prefix(&code[..2]).is_some_and(|others| others.contains(&code[2..]))),
        _ => false,
    }
}

/// Whether a value of `hreflang` begins with a language, or is `x-default`.
#[must_use]
pub fn is_hreflang_language(code: &str) -> bool {
    code.eq_ignore_ascii_case("x-default") || is_language(code.split('-').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_codes_are_languages_and_others_are_not() {
        for code in ["en", "DE", "zh", "fil", "iw", "gsw", "cmn"] {
            assert!(is_language(code), "{code}");
        }
        for code in ["", "x", "xx", "english", "e1", "ü", "zzz", "qqq", "eü", "üe", "e\u{301}"] {
            assert!(!is_language(code), "{code}");
        }
        assert!(is_hreflang_language("pt-BR") && is_hreflang_language("X-Default") && !is_hreflang_language("xx-BR"));
    }
}
