//! From a URL to the bytes behind it: which URLs may be asked for ([`target`]), which addresses
//! ([`address_guard`]), how many at a time ([`limit`]), who forbids it ([`opt_out`]), and how much
//! is read ([`body`], [`budget`]). Every reason not to end with bytes is a `SampleFailure`.

pub mod address_guard;
pub mod body;
pub mod budget;
pub mod client;
pub mod limit;
pub mod opt_out;
pub mod options;
pub mod target;

pub use budget::{ByteBudget, Reservation};
pub use client::{Fetched, Fetcher};
pub use options::FetchOptions;
