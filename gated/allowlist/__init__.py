"""The local cache of who may pass, under keyed identifiers."""

from gated.allowlist.cache import Cache
from gated.allowlist.key import SiteKey

__all__ = ["Cache", "SiteKey"]
