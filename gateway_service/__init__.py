"""The one way in: accepts notifications, hands them to the channels, and knows what became of them."""
