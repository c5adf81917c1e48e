//! how well a detector does: measures with their plots, as table, JSON and one HTML page.
