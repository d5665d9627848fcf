//! How our robot says whose it is: by an address in its user agent.

use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::ports::browser::{Browser, BrowserError, PageLoad, Visit};

/// A user agent that ends with a comment in parentheses, with the operator's address in it: a URL with a plus sign
/// before it, as robots usually write it, or an e-mail address.
pub(super) fn sign(agent: &str, contact: Option<&str>) -> String {
    match (agent.strip_suffix(')'), contact) {
        (Some(open), Some(contact)) if contact.contains("://") => format!("{open}; +{contact})"),
        (Some(open), Some(contact)) => format!("{open}; {contact})"),
        (_, None) | (None, _) => agent.to_owned(),
    }
}

/// A browser that says where the operator of our robot is reached.
#[derive(Debug)]
pub struct SignedBrowser {
    inner: Arc<dyn Browser>,
    contact: Option<String>,
}

impl SignedBrowser {
    /// Loads pages through `inner`, and signs with `contact`.
    #[must_use]
    pub fn new(inner: Arc<dyn Browser>, contact: Option<String>) -> Self {
        Self { inner, contact }
    }
}

#[async_trait]
impl Browser for SignedBrowser {
    async fn load(&self, mut visit: Visit) -> Result<PageLoad, BrowserError> {
        visit.robot = sign(&visit.robot, self.contact.as_deref());
        self.inner.load(visit).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use hermes_core::ports::browser::Profile;
    use hermes_core::ports::http::Reach;

    use super::*;

    #[derive(Debug, Default)]
    struct Listener(Mutex<Vec<String>>);

    #[async_trait]
    impl Browser for Listener {
        async fn load(&self, visit: Visit) -> Result<PageLoad, BrowserError> {
            self.0.lock().expect("not poisoned").push(visit.robot);
            Ok(PageLoad::default())
        }
    }

    #[tokio::test]
    async fn the_browser_says_whose_robot_drives_it() {
        for (contact, expected) in [
            (None, "(compatible; HermesBot/1)"),
            (Some("https://a.test/robot"), "(compatible; HermesBot/1; +https://a.test/robot)"),
            (Some("robots@a.test"), "(compatible; HermesBot/1; robots@a.test)"),
        ] {
            let listener = Arc::new(Listener::default());
            let visit = Visit {
                url: "https://b.test/".parse().expect("valid"),
                profile: Profile::DESKTOP,
                reach: Reach::Public,
                robot: "(compatible; HermesBot/1)".to_owned(),
                timeout: Duration::from_secs(1),
            };
            let browser = SignedBrowser::new(listener.clone(), contact.map(str::to_owned));
            browser.load(visit).await.expect("loaded");
            assert_eq!(*listener.0.lock().expect("not poisoned"), [expected]);
        }
    }
}
