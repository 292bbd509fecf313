"""Integrations with frameworks. Nothing else in this library imports these modules, or what they need."""
