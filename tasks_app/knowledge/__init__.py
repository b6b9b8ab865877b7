"""What is known of the world outside, as data in plain words: ad servers' errors, advertising policies."""
