"""Who may log in. Changes here need the security team."""

import hmac


def allowed(given: str, expected: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given, expected)
