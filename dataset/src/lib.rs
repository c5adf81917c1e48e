//! weir's feature tables on disk: partitioned Parquet, and the labels joined to them.
