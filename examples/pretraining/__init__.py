"""Pre-training on many devices, with any of three frameworks: one loop, and an engine of a page for each.

To be read in this order:

1. ``recipe``: what a run depends on; the paper's settings as presets; the learning rate of a step
2. ``corpus``: which rows a step learns from, and which of them on which device
3. ``loop``: the loop, and what it asks of an engine
4. ``engines``: them by name; ``with_torch``, ``with_flax``, ``with_tensorflow``: a page each
5. ``state``: what is saved, so that a run goes on as if it had never stopped
6. ``replicas``: how far apart two honest runs may be, and the table that says how far they are
7. ``planning``: what a run would cost, before it is begun
"""
