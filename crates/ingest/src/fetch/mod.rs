//! From a URL to the bytes behind it: which URLs may be asked for ([`target`]), which addresses
//! ([`address_guard`], [`names`]), how many at a time and how soon again ([`limit`], [`pace`],
//! [`retry`]), who forbids it ([`opt_out`], [`robots`]), and how much is read ([`body`], [`budget`]). Every reason not to end with bytes is a `SampleFailure`, and a
//! [`Trace`] tells how far it got.

pub mod address_guard;
mod answer;
pub mod body;
pub mod budget;
pub mod client;
mod held;
pub mod limit;
pub mod names;
pub mod opt_out;
pub mod options;
pub mod pace;
pub mod retry;
pub mod robots;
mod robots_cache;
pub mod target;
pub mod trace;
mod transport_error;
mod user_agent;

pub use budget::{ByteBudget, Reservation};
pub use client::{Fetched, Fetcher};
pub use options::FetchOptions;
pub use trace::Trace;
