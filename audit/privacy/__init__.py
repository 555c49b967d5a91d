"""What the checks of privacy have in common: what training promised, who might be told from the rows, and the models that attacks are held against."""
