"""A run of the whole system against a promise: so many ticks, one in so many seconds, whatever happens. It ends with its own verdict."""
