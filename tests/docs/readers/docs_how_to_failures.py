from types import SimpleNamespace


def post(user: int) -> SimpleNamespace:
    return SimpleNamespace(ok=user > 0, text="no such user")


log = print
