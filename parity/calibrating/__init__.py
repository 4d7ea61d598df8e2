"""Honest engines in situations in which a model of rounding could break: `emulation`, `situations`, `calibration`."""
