"""LoRA adapters: their folders checked, their versions kept in a store, loaded where they are needed."""

from processor.models.adapters.folder import Adapter, Expected, inspect
from processor.models.adapters.manager import Adapters
from processor.models.adapters.start import following, start_all
from processor.models.adapters.store import Pointer, Store, served_name

__all__ = ["Adapter", "Adapters", "Expected", "Pointer", "Store", "following", "inspect", "served_name", "start_all"]
