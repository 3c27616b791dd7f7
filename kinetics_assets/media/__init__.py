"""Video in, pictures and numbers out, in a sandboxed child that may crash without harm."""
