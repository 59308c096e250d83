"""What people agree to: which texts there are, who said what to which, and its proof."""
