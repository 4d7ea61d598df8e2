"""The mistakes that ports make: as wrong engines, as directions in which outputs move, and as power that is stated.

Reading order: `wrong_engines` (what a mutant is), `mutants` (the list, of `wrong_weights`, `wrong_calls` and `slips`),
`effects`, `matched`, `power`, `hunting`.
"""
