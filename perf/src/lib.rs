//! Map of the room: see ARCHITECTURE.md.
