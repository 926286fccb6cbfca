//! The client's end of a connection.
