"""Grafana's dashboards, built by code: docker/grafana/dashboards/ holds what comes of it."""
