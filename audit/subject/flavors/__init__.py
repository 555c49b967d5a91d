"""One file per kind of model. Imported by the worker only; libraries are imported when the model is loaded."""
