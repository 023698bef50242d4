"""What /docs needs for its button "Authorize" to work."""

from gateway_service.main import create_app
from gateway_service.settings import GatewaySettings


def test_authorize_in_docs_leads_to_the_token_route() -> None:
    description = create_app(GatewaySettings()).openapi()
    schemes = description["components"]["securitySchemes"]
    flow = schemes["Account"]["flows"]["password"]
    form = description["paths"][flow["tokenUrl"]]["post"]["requestBody"]["content"]
    assert list(form) == ["application/x-www-form-urlencoded"]
    assert schemes["ApiKey"]["scheme"] == "bearer"


def test_private_route_can_be_called_with_either_credential() -> None:
    description = create_app(GatewaySettings()).openapi()
    assert description["paths"]["/api/v1/users/{user_id}"]["get"]["security"] == [
        {"Account": []},
        {"ApiKey": []},
    ]
