"""What tests are fed with, made when needed and never committed."""
