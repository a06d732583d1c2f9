"""The stages of an export, one module for each. The modules of `export` call them in their order."""
