"""The recording: everything that passes, kept on disk (see ``docs/recording.md``)."""
