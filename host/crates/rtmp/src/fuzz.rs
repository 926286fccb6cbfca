//! Bodies of the fuzz targets, here so that refactoring breaks them at
//! compile time.
