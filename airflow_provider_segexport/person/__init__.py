"""One person over all audiences and run folders: what is known of them, and how it is taken away."""
