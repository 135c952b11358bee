"""What plugins are granted at run time: requests to hosts, and files below folders, done for them."""

from kubeshark.hosts.broker._broker import AskedTooMuchError, Broker, Operation, ServiceError
from kubeshark.hosts.broker._files import FileError, Folder

__all__ = ["AskedTooMuchError", "Broker", "FileError", "Folder", "Operation", "ServiceError"]
