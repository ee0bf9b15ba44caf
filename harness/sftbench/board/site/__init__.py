"""The board as a static site: pages that open from disk, need no network, and treat all that they show as text."""
