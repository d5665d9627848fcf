//! The services that come with Hermes, as [`crate::service::Service`]s.

pub mod authority;
mod discreet;
pub mod external;
pub mod noop;
pub mod search;
pub mod sites;
pub mod unconfigured;

pub(crate) use discreet::discreet;
