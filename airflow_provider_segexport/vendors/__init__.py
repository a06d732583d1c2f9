"""Email-marketing vendors: one package for each. `registry` lists them, and `base` defines the vendor contract."""
