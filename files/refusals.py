"""What the hub's refusals mean, and what to do next; a token is in none of them."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

#: Libraries below the hub's whose errors mean that nobody answered.
NETWORK = frozenset({"requests", "urllib3", "httpx", "httpcore"})
#: Their errors where an answer ended too early: what came of a file is kept, and asking again fetches the rest.
BROKEN = frozenset({"ChunkedEncodingError", "IncompleteRead", "ProtocolError", "RemoteProtocolError"})
#: Errors of this machine, which say by themselves what is wrong.
LOCAL = frozenset({errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EPERM, errno.EDQUOT, errno.ENAMETOOLONG})


@dataclass(frozen=True, repr=False)
class Asked:
    """A question to the hub.

    Attributes:
        repository: the id.
        revision: a branch, a tag or a commit; None: the main branch.
        token: as the library takes it.
        is_sent: whether something is sent, and not fetched.
    """

    repository: str
    revision: str | None = None
    token: str | bool | None = None
    is_sent: bool = False

    @property
    def library(self) -> Any:
        """The hub's own.

        Raises:
            ModuleNotFoundError: it is not installed; says what to type.
        """
        try:
            return import_module("huggingface_hub")
        except ModuleNotFoundError as error:
            message = 'huggingface_hub, which speaks with the hub, is not installed: pip install "roberta[hub]"'
            raise ModuleNotFoundError(message, name="huggingface_hub") from error

    # The library hands on what is in its modules, and not these modules themselves, before somebody has imported them.
    @property
    def constants(self) -> Any:
        """Its settings, which the environment gives."""
        return import_module(".constants", self.library.__name__)

    @property
    def errors(self) -> Any:
        """Its errors."""
        return import_module(".errors", self.library.__name__)

    def __str__(self) -> str:
        revision = f" at revision {self.revision!r:.100}" if self.revision else ""
        return f"{self.repository!r:.200}{revision} on the hub"

    # -- refusals ----------------------------------------------------------------------------------------------------

    def refusal(self, error: Exception) -> Exception:
        """What is raised in place of an error of the library's.

        Returns:
            FileNotFoundError, PermissionError, ConnectionError, or OSError of another kind; an error of this machine,
            such as a full disk, and one of ours as they are.
        """
        if isinstance(error, ConnectionResetError) or (isinstance(error, OSError) and error.errno in LOCAL):
            return error
        kind, meaning, remedy = self._meaning(error)
        said = self._without_secrets(self._said(error))
        revision = f" at revision {self.revision!r:.100}" if self.revision else ""
        missed = "could not be sent to" if self.is_sent else "is neither a folder here nor could it be fetched from"
        return kind(f"{self.repository!r:.200} {missed} the hub{revision}: {meaning} ({said}). {remedy}")

    def is_not_kept(self, cache: Any) -> FileNotFoundError:
        """Offline, and the cache lacks it."""
        where = cache or self.constants.HF_HUB_CACHE
        message = f"{self.repository!r:.200} is neither a folder here nor could it be fetched from the hub: "
        message += f"only the cache was asked (local_files_only=True or HF_HUB_OFFLINE), and {where} lacks "
        remedy = "Load it once with a network, or copy its files into a folder and give that"
        return FileNotFoundError(f"{message}revision {self.revision or 'main'!r:.100}. {remedy}")

    def has_none(self, needed: Iterable[str], listed: Iterable[str], subfolder: str) -> FileNotFoundError:
        """The repository is there, and lacks files."""
        names = sorted(self._without_secrets(name) for name in listed)
        inside = [name for name in names if name.startswith(f"{subfolder}/" if subfolder else "")]
        if subfolder and not inside:
            folders = sorted({name.rpartition("/")[0] for name in names if "/" in name})
            found = ", ".join(map(ascii, folders[:20])) or "none"
            return FileNotFoundError(f"subfolder: {self} has no folder {subfolder!r}; the folders in it are: {found}")
        found = ", ".join(ascii(name)[1:-1] for name in inside[:20]) or "nothing"
        place = f"folder {subfolder!r} of {self}" if subfolder else str(self)
        message = f"{place} has none of what is needed: looked for {', '.join(needed)}; found {found}"
        return FileNotFoundError(f"{message}. Name another revision= or subfolder=, or ask its owner")

    # -- what an error tells -------------------------------------------------------------------------------------------

    def pause(self, error: Exception) -> float | None:
        """How many seconds the hub wants to be left alone, where asking again can help; else None."""
        status = _status(error)
        if isinstance(error, ConnectionResetError) or any(type(one).__name__ in BROKEN for one in _chain(error)):
            return 0.0
        if status is None or (status != 429 and status < 500):
            return None
        demanded = str(_header(error, "Retry-After") or "0")
        return float(demanded) if demanded.isdecimal() else 0.0

    def betrays(self, error: Exception) -> bool:
        """Whether the token is in what an error says."""
        return any(secret in f"{one!s}{one!r}" for one in _chain(error) for secret in self._secrets())

    def _meaning(self, error: Exception) -> tuple[type[OSError], str, str]:
        errors, status = self.errors, _status(error)
        page = f"{self.constants.ENDPOINT}/{self.repository:.200}"
        may = "write into" if self.is_sent else "read"
        log_in = f"pass token=… of one who may {may} it, or type: huggingface-cli login"
        if isinstance(error, errors.HFValidationError):
            return FileNotFoundError, "no id of a repository", 'Required "owner/name"'
        if isinstance(error, errors.GatedRepoError):
            return PermissionError, "it is gated", f"Ask for access at {page}, then {log_in}"
        if isinstance(error, errors.RevisionNotFoundError):
            return FileNotFoundError, "no such revision", f"Its branches, tags and commits: {page}/tree/main"
        if isinstance(error, errors.RepositoryNotFoundError):
            meaning = "no such repository, or a private one"
            return FileNotFoundError, meaning, f"See whether the name is right; if it is private, {log_in}"
        if status == 401:
            return PermissionError, "the token is not accepted", f"Make a new one, and {log_in}"
        if status == 403:
            return PermissionError, "it is forbidden to whom the token belongs", f"See {page}, or {log_in}"
        if status == 404:
            return FileNotFoundError, "no such file any more", "Load it again"
        if status == 429:
            wait = _header(error, "Retry-After")
            after = f"in {wait} seconds" if str(wait).isdecimal() else "later"
            return ConnectionError, "too many questions", f"Ask again {after}; with a token the hub allows more"
        if status is not None and status >= 500:
            return ConnectionError, "the hub is ill", "Ask again later; its state: https://status.huggingface.co"
        if status is None and any(_is_of_network(one) for one in _chain(error)):
            remedy = "See to the network, or give a folder; from the cache alone: local_files_only=True"
            return ConnectionError, "no answer", remedy
        remedy = "Load it again; what came is kept, and the rest is fetched. If that fails: force_download=True"
        return OSError, "what came is broken, or could not be kept", remedy

    def _said(self, error: Exception) -> str:
        """The status and the server's own words, of which nothing can do harm on a terminal."""
        words = next((str(text) for one in _chain(error) if (text := getattr(one, "server_message", None))), "")
        status = _status(error)
        words = words or ("" if status else str(error).strip().split("\n")[0])
        found = " ".join(filter(None, [f"HTTP {status}" if status else type(error).__name__, words[:300]]))
        return ascii(self._without_secrets(found))[1:-1]

    def _secrets(self) -> list[str]:
        token = self.token if isinstance(self.token, str) else self.library.get_token()
        return [token] if token else []

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets():
            text = text.replace(secret, "…")
        return text


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it came of."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _responses(error: BaseException) -> Iterator[Any]:
    yield from (one for each in _chain(error) if (one := getattr(each, "response", None)) is not None)


def _status(error: BaseException) -> int | None:
    return next((int(one.status_code) for one in _responses(error)), None)


def _header(error: BaseException, name: str) -> str | None:
    return next((one.headers.get(name) for one in _responses(error)), None)


def _is_of_network(error: BaseException) -> bool:
    return isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.split(".")[0] in NETWORK
