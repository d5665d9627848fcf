//! The services that come with Hermes, as [`crate::service::Service`]s.

pub mod authority;
pub mod external;
pub mod noop;
pub mod search;
pub mod sites;
pub mod unconfigured;
