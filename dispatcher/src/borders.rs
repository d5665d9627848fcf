//! The borders at which a death would hurt most: between commit, publication and acknowledgement. Tests let the process
//! end there, by the environment variable `FAILPOINTS` (`after_commit=1%return`); a released program has none of this.

/// Arms the borders that `FAILPOINTS` names, for as long as the value lives.
#[must_use]
pub fn arm() -> impl Sized {
    #[cfg(feature = "failpoints")]
    let armed = fail::FailScenario::setup();
    #[cfg(not(feature = "failpoints"))]
    let armed = ();
    armed
}

/// The process ends here, as by a power cut, if the border is armed and its dice say so.
pub(crate) fn cross(border: &str) {
    fail::fail_point!(border, |_| std::process::abort());
    // without the feature nothing looks at the name
    let _ = border;
}
