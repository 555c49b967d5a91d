"""Privacy in numbers: what a mechanism promises (accountants), what an attack shows (bounds from below), and how well members are told apart."""
