"""What the gateway decides: who may send what, what is accepted, and how a status moves."""
