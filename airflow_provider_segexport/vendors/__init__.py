"""Email-marketing vendors: one package each, listed in `registry`, with the contract in `base`."""
