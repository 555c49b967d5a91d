"""What may come before training on labels, one stage a module, each with `prepare(preset, dataset, *, device)`."""
