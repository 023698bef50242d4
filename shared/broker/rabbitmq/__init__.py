"""RabbitMQ, the same way on 3.10 and 4.x."""
