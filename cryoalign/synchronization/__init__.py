"""Global angles, handedness and centres of images from what is known of pairs of them."""
