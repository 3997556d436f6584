"""A model that is carried on by a day at a time: measured on the day, trained on it, exported, checked, published."""
