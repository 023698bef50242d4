"""The one way a message is delivered: looked up, rendered, claimed, sent, settled, reported."""
