"""PostgreSQL writes down that a row was refused, and nothing of what was in it."""

from subprocess import CalledProcessError

import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from tests.servers import server_folder


def test_the_log_holds_no_value_of_a_row_that_was_refused() -> None:
    with server_folder() as folder:
        server = EmbeddedPostgres(
            data=folder / "postgres", password="tests", log=folder / "postgres.log", durable=False
        )
        server.start()
        try:
            server.run_sql("CREATE TABLE people (email_key text UNIQUE); CREATE TABLE more (email_key text)")
            server.run_sql("INSERT INTO more VALUES ('ann@' || 'example.com'), ('ann@' || 'example.com')")
            with pytest.raises(CalledProcessError, match="psql"):
                server.run_sql("INSERT INTO people SELECT email_key FROM more")
        finally:
            server.stop()
        log = (folder / "postgres.log").read_text()
    assert 'duplicate key value violates unique constraint "people_email_key_key"' in log
    assert "ann@example.com" not in log
