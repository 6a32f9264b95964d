"""Ways to tell somebody: one file a sink. base, http and signature are what several of them stand on."""
