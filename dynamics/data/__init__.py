"""Text to token windows that remember their document."""
