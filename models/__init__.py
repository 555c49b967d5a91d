"""The training core: models worth auditing, logged to MLflow."""
