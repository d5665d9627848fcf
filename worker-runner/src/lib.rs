//! stub

pub mod http_worker;
pub mod site;
