"""From a picture's bytes to a strip of pixels that a network takes."""
