"""Recipes become plans, plans become doit tasks, tasks become artifacts."""
