//! What every service that reads a website needs: finding the home page, asking robots.txt, fetching politely, one
//! spelling per URL, and taking facts out of HTML and sitemaps.
//!
//! Deliberately absent: judgements (those are signals of the services and rules of the diagnosis), a browser, cookies,
//! and any HTTP client: everything goes through [`hermes_core::ports::http::Http`].

pub mod address;
pub mod decode;
pub mod error;
#[cfg(test)]
pub(crate) mod fake;
pub mod fetch;
pub mod fingerprint;
pub mod home;
pub mod html;
pub mod language;
mod pace;
pub mod params;
pub mod report;
pub mod robots;
mod robots_lint;
pub mod sitemap;

pub use error::SiteError;
