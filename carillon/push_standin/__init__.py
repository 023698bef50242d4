"""A stand-in for Firebase Cloud Messaging: speaks its HTTP v1 API, delivers nothing, shows what came."""
