"""The page and the JSON API: what a site's Redis holds. They write no more than announced maintenance."""
