"""The world of a test: users who return, arms that rank for them, and what comes of it; nothing here analyses."""
