"""Logs that grow by a day at a time: a day's records, whose ids mean what they meant the day before."""
