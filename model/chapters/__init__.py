"""What each chapter of the standard says, function by function."""
