"""Ways to tell somebody: one file a sink. base, http, foreign, reading and signature are what several stand on."""
