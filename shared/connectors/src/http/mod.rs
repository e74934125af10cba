//! HTTP under a budget: send, time out, cap, classify, retry. The same for every vendor; what a vendor's answers
//! mean is its [`Dialect`].

mod client;
mod dialect;
mod public_text;
mod retry;

pub(crate) use client::{Call, HttpClient};
pub(crate) use dialect::{Answer, Dialect, Unreadable};
pub(crate) use public_text::public_text;
pub(crate) use retry::{Failure, Wait};
