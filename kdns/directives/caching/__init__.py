"""What the ``cache`` plugin is made of: its settings, their reading, its memory and its metrics."""
