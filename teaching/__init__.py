"""What a reader makes, breaks and sees: pages, mistakes and exercises, all of them run by the spec."""
