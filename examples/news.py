"""Templated sentences about business news, each with its entities: what `spacy_ner` learns from.

Half of the names are invented for each sentence, so that what surrounds a name has to tell what it is, and names that
the model never saw are found too.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

#: (start, end, label), in characters
Entities: TypeAlias = list[tuple[int, int, str]]


def _words(text: str) -> list[str]:
    return text.split()


COMPANIES = _words("""
    Apple Google Microsoft Amazon Intel Nvidia Siemens Bosch Toyota Honda Samsung Sony Nokia Volvo Airbus Boeing Pfizer
    Bayer Nestle Unilever Shell Oracle Netflix Spotify Uber Tesla Adobe Cisco Ericsson Philips
""")
COMPANY_ENDS = ("", "", "", " Inc.", " Corp.", " Ltd.", " Group", " Motors", " Labs", " Bank", " Systems", " Energy")
PLACES = _words("""
    U.S. U.K. U.S. U.K. U.A.E. France Germany Italy Spain Japan China India Brazil Canada Mexico Poland Sweden Norway
    Kenya Egypt Chile London Paris Berlin Tokyo Boston Chicago Madrid Toronto Mumbai Lagos Seoul Vienna Oslo
""")
FIRST_NAMES = _words("""
    Anna James Maria John Wei Ahmed Sofia David Laura Pedro Yuki Elena Tim Grace Omar Nina Paul Ingrid Mary Robert Linda
    Peter Julia Hans Karen Luis Fatima Ivan Rosa Mark Emma Carlos Susan Ali Clara Kenji Eva Thomas Amara Jane
""")
SYLLABLES = _words("""
    ba ce di fo gu ka le mi no pu ra se ti vo xa zen tor mar lin del bri sol van cor nex al dor kel mon ter
""")
MONTHS = _words("January February March April May June July August September October November December")
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")

#: {LABEL} is an entity, (a|b) one of several words
TEMPLATES = """
{ORG} is (planning|trying|about) to (buy|acquire|take over) a {GPE} (rival|firm|chain) for {MONEY}
{ORG} is thinking about acquiring {GPE} (chipmaker|brewer|airline) {ORG} for {MONEY}
{ORG} is close to (buying|selling) {GPE} bank {ORG} in a deal worth {MONEY}
{ORG} is in talks on selling its {GPE} (business|unit|assets) for {MONEY}
{ORG} is considering an offer for {GPE} (retailer|insurer) {ORG}
{ORG} is looking for (partners|suppliers|talent) in {GPE}
{ORG} is hiring (hundreds|dozens) of engineers in {GPE}
{ORG} (bought|sold|acquired) {ORG} for {MONEY} in {DATE}
{ORG} (sold|closed|opened) its {GPE} (factory|office|shops) (for {MONEY} |)in {DATE}
{ORG} has agreed to pay {MONEY} for {GPE} insurer {ORG}
{ORG} (will|wants to|may) (invest|put) {MONEY} in a {GPE} startup
{ORG} will buy the {GPE} startup {ORG} for about {MONEY}
{ORG} plans to open an office in {GPE} (next year|in {DATE}|soon)
{ORG} said on {DATE} that it would close its plant in {GPE}
{ORG} (reported|posted|announced) a (profit|loss) of {MONEY} for {DATE}
{ORG} raised {MONEY} from investors in {GPE}
{ORG} (named|hired|fired) {PERSON} as its (new|first) chief executive
{ORG} was fined {MONEY} by (regulators|a judge) in {GPE}
(Shares of|Sales at|Profits of) {ORG} fell after the company lost {MONEY}
(Shares|Bonds) in {ORG} rose on {DATE}
The {GPE} startup raised {MONEY} on {DATE}
The {GPE} government wants to spend {MONEY} on new railways
The {GPE} unit of {ORG} is looking at cutting jobs
The company is looking at building a plant in {GPE} for {MONEY}
The deal between {ORG} and {ORG} is worth {MONEY}
The mayor of {GPE} met {PERSON} on {DATE}
Investors are buying {GPE} startups at prices above {MONEY}
A {GPE} court ordered {ORG} to pay {MONEY}
{GPE} is looking at (raising|cutting) taxes in {DATE}
{GPE} (will host|hosted) the (summit|games) in {DATE}
{GPE} and {GPE} signed a trade agreement on {DATE}
{GPE} is (a big city|a small country|the capital of {GPE}|famous for its beaches)
{PERSON} (joined|left|founded) {ORG} in {DATE}
{PERSON} (works|worked) (for|at) {ORG} in {GPE}
{PERSON} is (a manager|an engineer|a lawyer) at {ORG}
{PERSON} is moving to {GPE} to work for {ORG}
{PERSON} is looking at houses in {GPE} that cost {MONEY}
{PERSON} was born in {GPE} in {DATE}
{PERSON} (lives|studied|grew up) in {GPE}
{PERSON} visited {GPE} (and {GPE} |)in {DATE}
{PERSON} and {PERSON} (founded|run|own) {ORG}
{PERSON} of {ORG} told reporters in {GPE} that sales were strong
{PERSON}, the (founder|head) of {ORG}, sold his shares for {MONEY}
In {DATE}, {ORG} moved its headquarters from {GPE} to {GPE}
(On|Since|Before) {DATE}, {PERSON} (visited|left|met investors in) {GPE}
(Yesterday|Later|Then) {PERSON} (called|met) {PERSON} in {GPE}
(We|They|You) are looking at the results of the (survey|vote)
The (weather|traffic) is getting (better|worse) and the shop opens at nine
(Hello|Welcome|Good morning|Dear all), (how are you today|welcome to the meeting|thank you for coming)
(How|When|Where|Why) (do|can) (we|you) (get|find) a ticket to {GPE}
(What|Who) is (that|this|it)
(I|They|She) (paid|spent) {MONEY} (for|on) a (bicycle|house|car) (in|near) {GPE}
It (costs|takes) {MONEY} to fly from {GPE} to {GPE}
""".strip().splitlines()


def sentences(count: int, seed: int) -> Iterator[tuple[str, Entities]]:
    """`count` sentences with their entities; the same ones for the same seed."""
    rng = random.Random(seed)
    for _ in range(count):
        template = re.sub(r"\(([^)]*)\)", lambda choice: rng.choice(choice[1].split("|")), rng.choice(TEMPLATES))
        text, entities = "", []
        for part in re.split(r"\{(\w+)\}", template):
            filled = _NAMES[part](rng) if part in _NAMES else part
            if part in _NAMES:
                entities.append((len(text), len(text) + len(filled), part))
            text += filled
        yield text + _end(text, bool(entities), rng), entities


def _end(text: str, has_entities: bool, rng: random.Random) -> str:
    if text.endswith("."):
        return ""
    return rng.choice(["", "."] if has_entities else ["", ".", "?"])


def _company(rng: random.Random) -> str:
    return (rng.choice(COMPANIES) if rng.random() < 0.5 else _invented(rng)) + rng.choice(COMPANY_ENDS)


def _place(rng: random.Random) -> str:
    return rng.choice(PLACES) if rng.random() < 0.7 else _invented(rng) + rng.choice(["", "ia", "land", "ton"])


def _person(rng: random.Random) -> str:
    return f"{rng.choice(FIRST_NAMES)} {_invented(rng)}"


def _invented(rng: random.Random) -> str:
    return "".join(rng.choices(SYLLABLES, k=rng.choice([2, 2, 3]))).capitalize()


def _money(rng: random.Random) -> str:
    whole, fraction = str(rng.randint(1, 900)), f"{rng.randint(1, 20)}.{rng.randint(1, 9)}"
    large = rng.choice([whole, fraction]) + rng.choice([" million", " billion"])
    return rng.choice(["$", "$", "€", "£"]) + rng.choice([whole, f"{rng.randint(1, 99)},000", large, large])


def _date(rng: random.Random) -> str:
    month, year = rng.choice(MONTHS), rng.randint(1990, 2025)
    return rng.choice([str(year), month, f"{month} {year}", f"{month} {rng.randint(1, 28)}", rng.choice(DAYS)])


_NAMES: dict[str, Callable[[random.Random], str]] = {
    "ORG": _company,
    "GPE": _place,
    "PERSON": _person,
    "MONEY": _money,
    "DATE": _date,
}
