"""Tables, recipients and a template: `python -m pipeline.setup COUNT TEMPLATE`, a JSON file."""

import json
import sys
from pathlib import Path

from sqlalchemy import text

from pipeline.database import Base, SessionLocal, Template, engine

_USERS = """
    INSERT INTO users (id, name, email, language)
    SELECT gen_random_uuid(), 'Person ' || n, 'person' || n || '@example.com', 'en'
      FROM generate_series(1, :count) AS n
"""
_PREFERENCES = """
    INSERT INTO preferences (user_id, email_enabled, push_enabled, categories)
    SELECT id, true, true, '{"promotional": {"email": false}}' FROM users
"""


def main() -> None:
    """Everything from nothing."""
    template = json.loads(Path(sys.argv[2]).read_text())
    Base.metadata.create_all(engine)
    with SessionLocal() as session:
        session.execute(text(_USERS), {"count": int(sys.argv[1])})
        session.execute(text(_PREFERENCES))
        names = ("code", "language", "subject", "body", "text_body")
        session.add(Template(version=1, **{name: template[name] for name in names}))
        session.commit()
        session.execute(text("ANALYZE"))
        session.commit()


if __name__ == "__main__":
    main()
