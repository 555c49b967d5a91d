"""The dashboard: pages over the audits of an MLflow store and of local folders."""
