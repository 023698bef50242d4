"""What lies between the system and its dependencies, and can fail like a network: `python -m
carillon.prove.wires PLAN.json`, told what to do through `carillon.prove.wires.client.Wires`."""
