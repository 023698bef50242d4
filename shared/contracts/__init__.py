"""Everything that crosses a process, and nothing else: versioned, frozen, without logic.

`msgspec` structs travel over the broker and between services; `pydantic` models are the public
HTTP bodies, shared by the gateway, which publishes them, and the service behind it, which serves them.
"""
