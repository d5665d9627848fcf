//! `<img>`: which have a name for those who do not see them, and which say how large they are.
//!
//! A name is what the rule `image-alt` of axe-core takes for one; Lighthouse's audit of that name is that rule.

use html5ever::local_name;

use super::AssetKind;
use super::tree::Element;
use super::walk::Walk;

/// Characters of an address that is kept as an example.
const EXAMPLE_CHARS_MAX: usize = 120;

pub(super) fn image(walk: &mut Walk<'_>, element: &Element) {
    let source = element.attr(&local_name!("src")).unwrap_or_default();
    let example = || source.chars().take(EXAMPLE_CHARS_MAX).collect::<String>();
    let is_shown = walk.hidden.is_none() && walk.noscript.is_none();
    let images = &mut walk.facts.images;
    images.total += 1;
    if is_shown {
        images.shown += 1;
        if !is_named(element) {
            images.without_alt.add(example);
        }
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
fn is_named(element: &Element) -> bool {
    let alt = element.attr(&local_name!("alt"));
    if alt.is_some_and(|alt| !alt.is_empty() && alt.trim().is_empty()) {
        return false;
    }
    let given = |value: Option<&str>| value.is_some_and(|value| !value.trim().is_empty());
    alt.is_some()
        || given(element.attr(&local_name!("aria-label")))
        || given(element.attr(&local_name!("aria-labelledby")))
        || given(element.attr(&local_name!("title")))
        || element.attr(&local_name!("role")).is_some_and(|role| matches!(role.trim(), "presentation" | "none"))
}
