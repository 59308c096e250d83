"""Letters to people: asked for with the change they tell of, made when they are sent."""
