"""What measures of pixels share: one disc, one moved image, a ladder of bands and descent."""
