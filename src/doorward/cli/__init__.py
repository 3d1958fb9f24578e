"""`kubectl doorward`: what people do with a cluster that Doorward is installed in."""
