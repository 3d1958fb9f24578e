"""Settings of every tier."""

from hypothesis import HealthCheck, settings

# No test judges time: a loaded machine is slow, not wrong.
settings.register_profile("doorward", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("doorward")
