"""Messages about exports for people: `end of a task, change of an audience's state -> mail, chat, any notifier`."""
