"""What an adapter file holds, under names that do not depend on who wrote it."""
