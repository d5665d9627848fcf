//! All I/O of Hermes: the ports of the core over real stores, queues and networks.

pub mod http;
