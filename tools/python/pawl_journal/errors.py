"""What can be wrong with a journal. Every error says where: file, offset, sequence."""


class JournalError(Exception):
    """A journal cannot be read. `file`, `offset` (bytes) and `sequence` say where; None where that has no meaning."""

    def __init__(self, message, file=None, offset=None, sequence=None):
        super().__init__(message)
        self.file, self.offset, self.sequence = file, offset, sequence


class NoJournal(JournalError):
    """There is no journal here."""


class NewerFormat(JournalError):
    """A later version wrote it in a way that this reader does not understand; `feature` names what is needed."""

    def __init__(self, feature, file, offset=0, sequence=None):
        message = f"{file} needs {feature}, which this reader does not know: read it with the version that wrote it"
        super().__init__(message, file, offset, sequence)
        self.feature = feature


class Damaged(JournalError):
    """Bytes are not what was written; `what` says how. Steps before `sequence` are whole."""

    def __init__(self, what, file, offset, sequence):
        message = f"{file} is damaged at offset {offset} (sequence {sequence}): {what}; `pawl verify` lists all damage"
        super().__init__(message, file, offset, sequence)
        self.what = what


class TornTailWarning(UserWarning):
    """The journal ends in bytes that a machine which stopped left behind; reading ended in front of them."""
