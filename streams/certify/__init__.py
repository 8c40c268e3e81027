"""The system tries to falsify itself: trials on a real broker, each with a control that must fail."""
