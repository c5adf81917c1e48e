//! weir's forest, model files and scoring, for Python.
