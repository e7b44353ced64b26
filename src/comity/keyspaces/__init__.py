"""Keyspaces: what each promises, and the catalogue that the control group keeps of them."""
