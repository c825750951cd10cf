//! Family trees from declared lineage.
