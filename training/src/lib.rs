//! fits weir's detectors from streams of feature rows.
