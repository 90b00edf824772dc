"""What makes a stack worth another look: exits, probe results, time."""
