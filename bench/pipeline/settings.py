"""Settings, from PIPELINE_… variables."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """All of them."""

    model_config = SettingsConfigDict(env_prefix="PIPELINE_")

    database_url: str
    broker_url: str
    directory_url: str
    api_key: str
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 1025
    sender: str = "Shop <no-reply@shop.example>"
    log_level: str = "INFO"


settings = Settings()
