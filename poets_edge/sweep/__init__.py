"""The grid: every architecture trained, exported, judged and timed. Needs what training needs."""
