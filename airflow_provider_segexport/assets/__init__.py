"""Assets of this provider: `segexport://<vendor>/<account>/<audience>`."""
