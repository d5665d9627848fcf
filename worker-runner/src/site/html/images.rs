//! `<img>`: which have a name for those who do not see them, and which say how large they are.
//!
//! A name is what the rule `image-alt` of axe-core takes for one; Lighthouse's audit of that name is that rule.

use html5ever::local_name;

use super::AssetKind;
use super::tree::Element;
use super::walk::Walk;

/// Characters of an address that is kept as an example.
const EXAMPLE_CHARS_MAX: usize = 120;
/// Ids that name one image, as far as they are looked up.
const IDS_MAX: usize = 10;

pub(super) fn image(walk: &mut Walk<'_>, element: &Element) {
    let source = element.attr(&local_name!("src")).unwrap_or_default();
    let example = || source.chars().take(EXAMPLE_CHARS_MAX).collect::<String>();
    let is_shown = walk.hidden.is_none() && walk.noscript.is_none();
    let lacks_a_name = is_shown && !is_named(walk, element);
    let images = &mut walk.facts.images;
    images.total += 1;
    images.shown += u32::from(is_shown);
    if lacks_a_name {
        images.without_alt.add(example);
    }
    let style = element.attr(&local_name!("style")).unwrap_or_default();
    let has_width = element.attr(&local_name!("width")).is_some() || style.contains("width");
    let has_height = element.attr(&local_name!("height")).is_some() || style.contains("height");
    if !(has_width && has_height || style.contains("aspect-ratio")) {
        images.without_size.add(example);
    }
    walk.asset(AssetKind::Image, element.attr(&local_name!("src")), false);
}

/// An empty `alt` says that the image is decoration; one of blanks only says nothing.
fn is_named(walk: &mut Walk<'_>, element: &Element) -> bool {
    let alt = element.attr(&local_name!("alt"));
    if alt.is_some_and(|alt| !alt.is_empty() && alt.trim().is_empty()) {
        return false;
    }
    let given = |value: Option<&str>| value.is_some_and(|value| !value.trim().is_empty());
    alt.is_some()
        || given(element.attr(&local_name!("aria-label")))
        || element.attr(&local_name!("aria-labelledby")).is_some_and(|ids| is_named_by(walk, ids))
        || given(element.attr(&local_name!("title")))
        || is_decoration(element)
}

/// Whether one of the elements that the blank-separated `ids` name is there and has text.
fn is_named_by(walk: &mut Walk<'_>, ids: &str) -> bool {
    ids.split_ascii_whitespace()
        .take(IDS_MAX)
        .any(|id| walk.with_id(id).is_some_and(|named| !walk.text_of(named).is_empty()))
}

/// Its role says so, and nothing that only makes sense on something else contradicts it.
fn is_decoration(element: &Element) -> bool {
    let role = element.attr(&local_name!("role")).unwrap_or_default();
    matches!(role.trim(), "presentation" | "none")
        && element.attr(&local_name!("tabindex")).is_none()
        && !element.attribute_names().any(|name| name.starts_with("aria-"))
}
