"""Several documents become one: variables filled, included, extended, reset, merged."""
