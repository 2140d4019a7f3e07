"""Scripts that rebuild the embedded data sets and fetch or convert those that a user brings."""
