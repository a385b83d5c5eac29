//! Text and file names made safe to show.
