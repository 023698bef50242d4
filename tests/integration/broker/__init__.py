"""One behavioural suite for every transport of the broker."""
