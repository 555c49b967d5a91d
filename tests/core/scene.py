"""The stage on which the self-test plays, under the name that the tests here know."""

from audit.selftest.stage import Pick, Scene, completed, findings, set_scene

__all__ = ["Pick", "Scene", "completed", "findings", "set_scene"]
