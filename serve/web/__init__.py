"""``crnn-web``: a page that reads lines and shows how."""
