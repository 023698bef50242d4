"""How dates and money are written in the four languages, and who and what there is in a made-up shop's world.

A template prints what it is given, so the sender writes dates and amounts out for the recipient's language.
"""

# ruff: noqa: RUF001 -- the letters are those that these languages are written with

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where people live: their language tag (BCP-47), their IANA time zone and their city."""

    tag: str
    zone: str
    city: str


@dataclass(frozen=True, kw_only=True)
class Locale:
    """One language. `date_form` takes day, month and year, `money_form` the amount; `vat_percent` is the
    usual rate of value added tax."""

    language: str
    homes: tuple[Place, ...]
    given_names: tuple[str, ...]
    family_names: tuple[str, ...]
    articles: tuple[str, ...]
    carriers: tuple[str, ...]
    device_form: str
    months: tuple[str, ...]
    date_form: str
    money_form: str
    thousands: str
    decimals: str
    vat_percent: int

    def date(self, day: date) -> str:
        """`12 March 2027`."""
        return self.date_form.format(day=day.day, month=self.months[day.month - 1], year=day.year)

    def time(self, at: datetime) -> str:
        """`12 March 2027, 14:05 (CET)`, in the zone that `at` has."""
        return f"{self.date(at.date())}, {at:%H:%M} ({at.tzname()})"

    def money(self, cents: int) -> str:
        """`£1,234.50`."""
        whole, rest = divmod(cents, 100)
        return self.money_form.format(f"{whole:,}".replace(",", self.thousands) + f"{self.decimals}{rest:02}")


_ENGLISH = Locale(
    language="en",
    homes=(
        Place(tag="en-GB", zone="Europe/London", city="Leeds"),
        Place(tag="en", zone="Europe/Dublin", city="Cork"),
        Place(tag="en-US", zone="America/New_York", city="Albany"),
        Place(tag="en-AU", zone="Australia/Sydney", city="Newcastle"),
    ),
    given_names=("Ann", "Siobhán", "Oliver", "Priya", "Thomas", "Grace", "Kwame", "Zoë"),
    family_names=("Archer", "O'Brien", "Whitfield", "Patel", "Clarke-Jones", "Mensah", "Hughes"),
    articles=(
        "Enamel mug, sea green",
        "Wool blanket 140 × 200 cm",
        "Oak bread board",
        'Storm lantern, 12"',
        "Salt & pepper mill",
    ),
    carriers=("Royal Mail", "Parcelforce", "DPD"),
    device_form="{browser} on {system}",
    months=(
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
        "November", "December",
    ),
    date_form="{day} {month} {year}",
    money_form="£{}",
    thousands=",",
    decimals=".",
    vat_percent=20,
)  # fmt: skip

_GERMAN = Locale(
    language="de",
    homes=(
        Place(tag="de-DE", zone="Europe/Berlin", city="Göttingen"),
        Place(tag="de", zone="Europe/Berlin", city="Lübeck"),
        Place(tag="de-AT", zone="Europe/Vienna", city="Graz"),
        Place(tag="de-CH", zone="Europe/Zurich", city="Zürich"),
    ),
    given_names=("Jürgen", "Anneliese", "Björn", "Käthe", "Mehmet", "Sophie", "Lukas", "Ömer"),
    family_names=("Müller", "Strauß", "von der Heide", "Yıldız", "Schäfer", "Krüger", "Weiß"),
    articles=(
        "Emaillebecher, meergrün",
        "Wolldecke 140 × 200 cm",
        "Schneidebrett aus Eiche",
        "Sturmlaterne, groß",
        "Salz- & Pfeffermühle",
    ),
    carriers=("DHL", "Hermes", "Österreichische Post"),
    device_form="{browser} unter {system}",
    months=(
        "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
        "November", "Dezember",
    ),
    date_form="{day}. {month} {year}",
    money_form="{} €",
    thousands=".",
    decimals=",",
    vat_percent=19,
)  # fmt: skip

_FRENCH = Locale(
    language="fr",
    homes=(
        Place(tag="fr-FR", zone="Europe/Paris", city="Besançon"),
        Place(tag="fr", zone="Europe/Paris", city="Orléans"),
        Place(tag="fr-CA", zone="America/Toronto", city="Montréal"),
        Place(tag="fr-BE", zone="Europe/Brussels", city="Liège"),
    ),
    given_names=("François", "Hélène", "Loïc", "Amélie", "Inès", "Théo", "Maëlle", "Aïcha"),
    family_names=("Lefèvre", "d'Aubigné", "Nguyễn", "Bélanger", "Garçon", "Dupuis", "Benali"),
    articles=(
        "Tasse émaillée, vert d’eau",
        "Plaid en laine 140 × 200 cm",
        "Planche à pain en chêne",
        "Lanterne-tempête, grand modèle",
        "Moulin à sel & à poivre",
    ),
    carriers=("Colissimo", "Chronopost", "Postes Canada"),
    device_form="{browser} sous {system}",
    months=(
        "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
        "novembre", "décembre",
    ),
    date_form="{day} {month} {year}",
    money_form="{} €",
    thousands="\N{NARROW NO-BREAK SPACE}",
    decimals=",",
    vat_percent=20,
)  # fmt: skip

_SPANISH = Locale(
    language="es",
    homes=(
        Place(tag="es-ES", zone="Europe/Madrid", city="Cádiz"),
        Place(tag="es", zone="Atlantic/Canary", city="Las Palmas"),
        Place(tag="es-MX", zone="America/Mexico_City", city="León"),
        Place(tag="es-AR", zone="America/Argentina/Buenos_Aires", city="Córdoba"),
    ),
    given_names=("José", "Núria", "Iñaki", "Lucía", "Begoña", "Martín", "Ángel", "Ximena"),
    family_names=("Muñoz", "García Ortiz", "Peña", "Ibáñez", "de la Cruz", "Güell", "Rodríguez"),
    articles=(
        "Taza esmaltada, verde mar",
        "Manta de lana 140 × 200 cm",
        "Tabla de pan de roble",
        "Farol de tormenta, tamaño grande",
        "Molinillo de sal & pimienta",
    ),
    carriers=("Correos", "SEUR", "Estafeta"),
    device_form="{browser} en {system}",
    months=(
        "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre",
        "noviembre", "diciembre",
    ),
    date_form="{day} de {month} de {year}",
    money_form="{} €",
    thousands=".",
    decimals=",",
    vat_percent=21,
)  # fmt: skip

LOCALES: Mapping[str, Locale] = {each.language: each for each in (_ENGLISH, _GERMAN, _FRENCH, _SPANISH)}
