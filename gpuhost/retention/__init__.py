"""What of a host's releases, images and containers stays, what goes, and why.

Kept are:

- what a container uses that stays, whoever made it;
- of each instance: the release of its container; the newest `keep` proven releases that can be
  had (stored, and their image here), the running one counted among them; and in any case the
  newest of them that is not the running one, which is the way back;
- releases that an unfinished or stranded switch names, and the one a skipped switch will take up;
- images pinned in the settings and in the lock, each with its newest proven release;
- what failed, with its image, for `keep_failed_days`; young is also what seems to come from the
  future, because a clock jumped back;
- images that somebody gave a name of another repository.

Of the rest, what is ours goes. Images of other repositories and containers of others are not even
listed. Volumes and storage are never touched.
"""

from gpuhost.retention.deciding import decide
from gpuhost.retention.items import Item, Retention
from gpuhost.retention.rules import Rules

__all__ = ["Item", "Retention", "Rules", "decide"]
