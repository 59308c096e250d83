"""Sharing: for whom activities are, and what others see of them."""
