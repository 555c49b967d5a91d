"""Two audits side by side: what got better, what got worse, and what these rows cannot tell apart."""
