//! Every limit of a diagnosis has a name here. Foreign text is cut to these before it enters a diagnosis, and counts
//! beyond them are told as a warning: nothing is dropped in silence.

/// Bytes of a title, ours or a worker's.
pub const TITLE_BYTES_MAX: usize = 200;
/// Bytes of a detail, an action or a reason.
pub const TEXT_BYTES_MAX: usize = 1_000;
/// Bytes of an id that a worker gives to a finding.
pub const FOREIGN_ID_BYTES_MAX: usize = 64;
/// Bytes of the URL of an item of evidence.
pub const EVIDENCE_URL_BYTES_MAX: usize = 1_024;
/// Bytes of the detail of an item of evidence, and of a text value in evidence.
pub const EVIDENCE_DETAIL_BYTES_MAX: usize = 300;
/// Items of evidence of one finding.
pub const EVIDENCE_ITEMS_MAX: usize = crate::signal::EVIDENCE_ITEMS_MAX;
/// Bytes of evidence items of a whole diagnosis, given to findings in order of priority.
pub const EVIDENCE_BYTES_MAX: usize = 256 * 1_024;
/// Findings taken over from one service.
pub const FOREIGN_FINDINGS_MAX: usize = 100;
/// Findings of one diagnosis.
pub const FINDINGS_MAX: usize = 300;
/// Signals read from one service's result.
pub const SIGNALS_MAX: usize = 1_000;
/// Values of a signal that is a list.
pub const LIST_VALUES_MAX: usize = 50;
/// Warnings taken over from one service.
pub const FOREIGN_WARNINGS_MAX: usize = 10;
/// Names that one warning or sentence lists.
pub const NAMES_LISTED_MAX: usize = 5;
/// Causes beside the primary one.
pub const SUPPORTING_CAUSES_MAX: usize = 3;
/// Entries of `what_to_do_next`.
pub const NEXT_STEPS_MAX: usize = 10;
/// Bytes of a rule's condition.
pub const EXPRESSION_BYTES_MAX: usize = 2_000;
