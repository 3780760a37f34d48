"""The simulated building: turnstile mechanics, people, panels, scenarios."""
