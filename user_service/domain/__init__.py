"""What an account may do, how it proves who it is, and how wishes are merged."""
