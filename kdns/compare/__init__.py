"""Two servers, the same questions, and what they answer differently.

``questions`` finds what to ask, ``replies`` says what of a reply matters, ``asking`` does it.
"""
