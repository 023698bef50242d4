"""What every Carillon service shares: contracts, transport, delivery, and the plumbing around them."""
