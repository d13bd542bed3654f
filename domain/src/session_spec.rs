//! Given, when, then: session.
