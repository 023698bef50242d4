"""Whom it is sent to, and what: the same for every system.

Recipients are written straight into `user_db`, which takes a second for 10,000 and is no part of what is
measured; the template is made and published through the API.
"""

from carillon.embedded.postgres import EmbeddedPostgres

DATABASE = "user_db"

TEMPLATE = {
    "code": "bench_order_shipped",
    "name": "Order shipped",
    "notification_type": "email",
    "language": "en",
    "subject": "Your order {{ order }} is on its way, {{ name }}",
    "body": (
        "<html><body><h1>Hello {{ name }}</h1><p>Good news: your order <b>{{ order }}</b> has left our "
        "warehouse and will be with you soon.</p><p>You can follow it in your account at any time, change "
        "the day of delivery, or name a neighbour who may take it in.</p><p>Thank you for shopping with "
        "us.</p></body></html>"
    ),
    "text_body": (
        "Hello {{ name }},\n\nGood news: your order {{ order }} has left our warehouse and will be with you "
        "soon.\n\nYou can follow it in your account at any time, change the day of delivery, or name a "
        "neighbour who may take it in.\n\nThank you for shopping with us.\n"
    ),
}

_USERS = """
    INSERT INTO users (id, name, email, email_key, email_origin, external_id, language, timezone, role)
    SELECT uuidv7(), 'Person ' || n, 'person' || n || '@example.com', 'person' || n || '@example.com',
           'organisation', 'bench-' || n, 'en', 'Europe/Berlin', 'user'
      FROM generate_series(1, {count}) AS n
"""
_PREFERENCES = """
    INSERT INTO preferences (user_id, enabled, categories)
    SELECT id,
           '{"email": true, "push": true, "sms": false, "whatsapp": false, "slack": false, "inbox": true}',
           '{"promotional": {"email": false}}'
      FROM users WHERE external_id LIKE 'bench-%'
"""
_IDS = "SELECT id FROM users WHERE external_id LIKE 'bench-%' ORDER BY id"


def create_recipients(server: EmbeddedPostgres, count: int) -> list[str]:
    """`count` of them, each with an address and preferences of their own; their ids."""
    server.run_sql(_USERS.format(count=count), database=DATABASE)
    server.run_sql(_PREFERENCES, database=DATABASE)
    server.run_sql("ANALYZE users, preferences", database=DATABASE)
    return server.run_sql(_IDS, database=DATABASE).split()
