"""What is fuzzed: each module has one(data), which fails where the library does, and words that help to get there."""
