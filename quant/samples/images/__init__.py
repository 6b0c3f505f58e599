"""Pictures as data: their files, their pixels, their colours."""
