"""A folder of photos -> sets -> cached bottlenecks -> a trained head -> a frozen graph and its record."""
