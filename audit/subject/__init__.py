"""The model's side: what it is, where it runs, how it is asked."""
