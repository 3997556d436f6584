"""What an A/B test says: effects with intervals, what was true, what the test could find; nothing here simulates."""
