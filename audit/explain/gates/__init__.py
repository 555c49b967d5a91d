"""Gates: whether an explanation deserves belief. Each takes attributions and the model's answers, whatever rows are made of."""
