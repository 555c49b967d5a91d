"""How the model bears rows that are disturbed, of another kind, or changed in ways that must not matter."""
