//! Given, when, then: read_marker.
