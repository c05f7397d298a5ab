"""What people ask of services: creating, changing, rolling back, stopping and starting them.

* `changes`: what a request changes, as functions on a draft. They are called again if what they read has changed
  meanwhile, so they do nothing else.
* `describing`: what people see of a service.
* `author`: who asked, in the words that a service's history keeps.
* `server`: the gRPC side. Specs are read, checked and given their image's digest there, before anything changes.

Whatever changes a service's spec makes a revision; one that is stored never changes.
"""

from .changes import create_service as create_service
from .changes import remove_service as remove_service
from .changes import roll_back_service as roll_back_service
from .changes import start_service as start_service
from .changes import stop_service as stop_service
from .changes import update_service as update_service
from .changes import with_credentials as with_credentials
from .describing import current_revision as current_revision
from .describing import describe as describe
from .describing import revisions as revisions
