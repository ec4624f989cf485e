"""What can be wrong with documents, as the API tells it."""

from rest_framework.exceptions import APIException


class FileTooLarge(APIException):
    """The upload is over the limit."""

    status_code = 413
    default_code = "file_too_large"


class UnsupportedFile(APIException):
    """The upload is neither PDF nor text."""

    status_code = 415
    default_code = "unsupported_file"
    default_detail = "The file is neither a PDF nor plain text: convert it to one of them."


class DocumentsNotReady(APIException):
    """The documents of a question cannot be searched now."""

    status_code = 409
    default_code = "documents_not_ready"

    def __init__(self, detail: str, *, may_pass: bool = False) -> None:
        """`may_pass` says that waiting may help."""
        super().__init__(detail)
        self.may_pass = may_pass


class DocumentUnderWay(APIException):
    """The document waits to be read already, or is being read."""

    status_code = 409
    default_code = "document_under_way"
    default_detail = "The document is being read: wait until it is ready or failed."
