//! What a diagnosis says.

use super::{all_good, diagnose, standard_run};

#[test]
fn the_same_input_gives_the_same_bytes() {
    let services = standard_run(&all_good());
    let one = serde_json::to_string(&diagnose(&services)).expect("serialises");
    let two = serde_json::to_string(&diagnose(&services)).expect("serialises");
    assert_eq!(one, two);
}
