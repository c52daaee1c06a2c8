"""The representations, one module each: whatever lies in this folder is one."""
