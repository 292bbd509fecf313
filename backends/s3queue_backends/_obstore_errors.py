"""The meaning of errors of obstore. Their HTTP status is only in the text; the tests read the texts from real replies."""

from __future__ import annotations

import re

from s3queue_backends import _errors
from s3queue_backends._errors import Failure, NoLogin, Reply, Silence, Untrusted

_STATUS = re.compile(r"Server returned non-2xx status code: (\d{3})")
_STATUS_OF = {"AccessDenied": 403, "AllAccessDisabled": 403, "NoSuchKey": 404, "SlowDown": 503}
_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,200})")
#: One key of a multi-object delete: a status on Azure, a code on S3.
_NOT_DELETED = re.compile(r"request failed for key .*\(code: (\w+)\)", re.DOTALL)
_UNTRUSTED = re.compile(r"InvalidCertificate\(\s*(\w+)")
#: EMFILE and ENFILE.
_OUT_OF_FILES = re.compile(r"\bcode: (?:24|23),")
_URL = re.compile(r"Error performing [A-Z]+ (\S+)")
#: Parts of error texts, in order of search, and whether the request may have been sent.
SILENCES: tuple[tuple[str, bool, str], ...] = (
    ("kind: Connect,", False, "no connection"),
    ("kind: Timeout,", True, "no answer in time"),
    ("kind: Interrupted,", True, "the connection broke"),
    ("kind: Request,", True, "the connection closed without an answer"),
    ("kind: Decode,", True, "an answer that could not be read"),
    ("kind: Unknown,", True, "an answer that could not be read"),
    ("invalid list response", True, "an answer that could not be read"),
    ("invalid DeleteObjects response", True, "an answer that could not be read"),
    ("Unable to extract metadata from headers", True, "the answer has no ETag"),
    ("Error getting put response body", True, "the connection broke"),
)
#: Texts about fetching credentials, which happens before the request, and never reaches the store.
LOGINS = ("Error getting credentials", "No credential", "169.254.169.254", "metadata.google.internal", "TokenRe")


def read(failed: Exception) -> Failure:
    """The meaning of an exception of the library. Raises it again if it does not come from server or network."""
    text, _, debug = str(failed).partition("Debug source:")
    asked = _URL.search(text)
    if any(word in (asked[1] if asked else text) for word in LOGINS):
        status = _STATUS.search(text)
        if "kind: Connect," in debug or "kind: Timeout," in debug or (status and status[1] >= "429"):
            return Silence(False, "no connection to the service that gives credentials")
        return NoLogin("no credentials", "set AWS_*, GOOGLE_* or AZURE_STORAGE_* variables, or pass them")
    if (status := _STATUS.search(text)) is not None:
        code, message = _CODE.search(text), _MESSAGE.search(text)
        return Reply(int(status[1]), code[1] if code else "", message[1].strip() if message else "")
    # A success of S3 that has an error in its body, or one in the answer to a delete of many keys.
    left = _NOT_DELETED.search(text) or ("Server returned error response" in text and _CODE.search(text))
    if left:
        return Reply(int(left[1]) if left[1].isdecimal() else _STATUS_OF.get(left[1], 500), left[1])
    if "Received redirect without LOCATION" in text:
        return Reply(301, "", "redirected; wrong region?")
    for part, sent, why in SILENCES:
        if part in text or part in debug:
            if not sent and _OUT_OF_FILES.search(debug):
                return Silence(False, _errors.OUT_OF_FILES)
            if not sent and (untrusted := _UNTRUSTED.search(debug)):
                return Untrusted(f"the server's certificate is not trusted: {untrusted[1]}")
            return Silence(sent, why)
    raise failed
