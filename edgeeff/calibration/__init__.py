"""What is measured on the images, once, for every target."""
