//! Plans, and what belongs to a store as a whole.

use std::sync::Arc;

use futures::future::join_all;

use hermes_core::Plan;
use hermes_core::ports::store::{Store, StoredPlan};

use super::plan;

fn described(id: &str, description: &str) -> Plan {
    let text = format!(
        "{{plan_id: {id}, name: A plan, description: \"{description}\", max_duration_ms: 1000,
           services: [{{service: s, worker_key: k, timeout_ms: 100}}]}}"
    );
    Plan::from_yaml(&text).unwrap()
}

fn facts(stored: &StoredPlan) -> (&str, u32, &str) {
    (stored.plan.id().as_str(), stored.version, stored.plan.description())
}

/// Counted from 1 for each id.
pub async fn each_new_content_is_a_new_version(store: Arc<dyn Store>) {
    assert_eq!(store.plan(&"a".parse().unwrap()).await.unwrap(), None);
    for (version, text) in [(1, "one"), (2, "it's two"), (3, "three")] {
        let stored = store.put_plan(&described("a", text)).await.unwrap();
        assert_eq!(facts(&stored), ("a", version, text));
        assert_eq!(store.plan(&"a".parse().unwrap()).await.unwrap(), Some(stored));
    }
    assert_eq!(facts(&store.put_plan(&described("b", "one")).await.unwrap()), ("b", 1, "one"));
}

/// Also when it is not the newest one.
pub async fn the_same_content_gives_the_version_that_is_there(store: Arc<dyn Store>) {
    let first = store.put_plan(&described("a", "one")).await.unwrap();
    assert_eq!(store.put_plan(&described("a", "one")).await.unwrap(), first);
    let second = store.put_plan(&described("a", "two")).await.unwrap();
    assert_eq!(store.put_plan(&described("a", "one")).await.unwrap(), first);
    assert_eq!(store.plan(&"a".parse().unwrap()).await.unwrap(), Some(second));
}

/// One line per plan.
pub async fn plans_are_listed_by_id_with_their_newest_version(store: Arc<dyn Store>) {
    assert_eq!(store.plans().await.unwrap(), []);
    for (id, text) in [("b", "one"), ("a", "one"), ("b", "two"), ("c", "one")] {
        store.put_plan(&described(id, text)).await.unwrap();
    }
    let plans = store.plans().await.unwrap();
    assert_eq!(plans.iter().map(facts).collect::<Vec<_>>(), [("a", 1, "one"), ("b", 2, "two"), ("c", 1, "one")]);
}

/// Several people press the button.
pub async fn concurrent_versions_get_different_numbers(store: Arc<dyn Store>) {
    let writers = (0..8).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.put_plan(&described("a", &n.to_string())).await.unwrap().version })
    });
    let mut versions: Vec<u32> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// All dispatchers of one store sign with the same key.
pub async fn the_callback_key_is_drawn_once(store: Arc<dyn Store>) {
    let drawn = join_all((0..4).map(|n| store.callback_key([n; 32]))).await;
    let keys: Vec<[u8; 32]> = drawn.into_iter().map(Result::unwrap).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(store.callback_key([9; 32]).await.unwrap(), keys[0]);
}

/// It does, and tells the time.
pub async fn a_working_store_answers_a_ping(store: Arc<dyn Store>) {
    store.ping().await.unwrap();
    assert!(store.now().await.unwrap().as_millis() > 0);
    store.put_plan(&plan("plan-1")).await.unwrap();
}
