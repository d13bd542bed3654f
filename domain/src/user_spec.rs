//! Given, when, then: user.
