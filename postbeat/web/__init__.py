"""The page and the JSON API: what a site's Redis holds, for people and for programs. They only read."""
