"""What others see of an activity: numbers and places, with no clock and no store."""
