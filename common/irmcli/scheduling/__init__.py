"""Schedules for cron, systemd and Windows Task Scheduler."""
